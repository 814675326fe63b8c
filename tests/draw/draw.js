// Lays the panels of a dashboard out as Grafana does, with the components of @grafana/ui and the answers that ask.py has written
// beside it: /?host draws host.json with host.data.json.
import {
  applyFieldOverrides, createTheme, dateTime, FieldConfigOptionsRegistry, FieldType, getDisplayProcessor, getFieldDisplayValues,
  standardTransformers, toDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries, VizRepeater } from '@grafana/ui';
import { createElement as h } from 'react';
import { createRoot } from 'react-dom/client';
import { firstValueFrom, of } from 'rxjs';

const VARIABLES = { route: 'route', status: 'status_code' };
const GRID = 24, ROW = 30, GAP = 8, TOP = 60;
const theme = createTheme({ colors: { mode: 'dark' } });
const replace = (text) => text;

// What a panel may set of a field; Grafana itself registers these with their editors.
const same = (value) => value;
const registry = new FieldConfigOptionsRegistry(() => {
  const option = (isCustom) => (path) => ({
    id: isCustom ? `custom.${path}` : path, path, isCustom, name: path, process: same, shouldApply: () => true, settings: {}, editor: () => null, override: () => null,
  });
  return [
    ...['unit', 'min', 'max', 'decimals', 'noValue', 'color', 'thresholds', 'mappings', 'links', 'displayName'].map(option(false)),
    ...['drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle', 'transform', 'cellOptions', 'axisSoftMax'].map(option(true)),
  ];
});

function legend(format, labels) {
  return format.replace(/\${(\w+)}/g, (_, name) => VARIABLES[name] ?? '').replace(/{{\s*(.*?)\s*}}/g, (_, label) => labels[label] ?? '') || Object.entries(labels).map(([key, value]) => `${key}="${value}"`).join(', ');
}

function series(target, answer) {
  return answer.map(({ metric, values, value }) => {
    const points = values ?? [value];
    const { __name__, ...labels } = metric;
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: points.map(([time]) => time * 1000), config: {} },
        { name: 'Value', type: FieldType.number, labels, values: points.map(([, number]) => Number(number)), config: { displayNameFromDS: legend(target.legendFormat, labels) } },
      ],
    });
  });
}

function rows(target, answer, only) {
  const labels = [...new Set(answer.flatMap(({ metric }) => Object.keys(metric)))].filter((label) => label !== '__name__');
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: answer.map(({ value }) => value[0] * 1000), config: {} },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: answer.map(({ metric }) => metric[label] ?? ''), config: {} })),
      { name: only ? 'Value' : `Value #${target.refId}`, type: FieldType.number, values: answer.map(({ value }) => Number(value[1])), config: {} },
    ],
  });
}

const transformers = { merge: 'mergeTransformer', filterFieldsByName: 'filterFieldsByNameTransformer', organize: 'organizeFieldsTransformer' };

async function frames(panel, answers) {
  const found = panel.targets.map((target, at) => [target, answers[at]]).filter(([, answer]) => answer.length);
  let data = panel.type === 'table' ? found.map(([target, answer]) => rows(target, answer, panel.targets.length === 1)) : found.flatMap(([target, answer]) => series(target, answer));
  for (const { id, options } of panel.transformations ?? []) {
    data = await firstValueFrom(of(data).pipe(standardTransformers[transformers[id]].operator(options, { interpolate: replace })));
  }
  return applyFieldOverrides({ data, fieldConfig: panel.fieldConfig, replaceVariables: replace, theme, timeZone: 'utc', fieldConfigRegistry: registry });
}

function values(panel, data) {
  return getFieldDisplayValues({ data, reduceOptions: panel.options.reduceOptions, fieldConfig: panel.fieldConfig, replaceVariables: replace, theme, sparkline: panel.options.graphMode === 'area', timeZone: 'utc' });
}

const kinds = {
  timeseries: (panel, data, range, width, height) =>
    h(TimeSeries, { frames: data, structureRev: 1, timeRange: range, timeZone: 'utc', width, height, legend: panel.options.legend, options: panel.options }),
  stat: (panel, data, range, width, height) =>
    h(VizRepeater, {
      getValues: () => values(panel, data), source: data, width, height, orientation: panel.options.orientation, renderCounter: 0, itemSpacing: 4,
      renderValue: ({ value, width, height, count }) => h(BigValue, {
        value: count > 1 || panel.targets[0].legendFormat ? value.display : { ...value.display, title: '' }, width, height, theme, sparkline: value.sparkline,
        colorMode: panel.options.colorMode, graphMode: panel.options.graphMode, justifyMode: panel.options.justifyMode, textMode: panel.options.textMode,
      }),
    }),
  bargauge: (panel, data, range, width, height) =>
    h(VizRepeater, {
      getValues: () => values(panel, data), source: data, width, height, orientation: 'horizontal', renderCounter: 0, itemSpacing: 10, minVizHeight: 16, maxVizHeight: panel.options.maxVizHeight,
      renderValue: ({ value, width, height }) => h(BarGauge, {
        value: value.display, field: value.field, display: value.view?.getFieldDisplayProcessor(value.colIndex), width, height, theme, orientation: 'horizontal', displayMode: panel.options.displayMode, showUnfilled: true, text: panel.options.text,
      }),
    }),
  table: (panel, [data], range, width, height) => h(Table, { data, width, height, cellHeight: panel.options.cellHeight }),
  'state-timeline': (panel, data) => h('div', null, data.map((frame, at) => {
    const field = frame.fields[1], shown = getDisplayProcessor({ field, theme })(field.values[field.values.length - 1]);
    return h('div', { className: 'strip', key: at }, h('span', null, field.config.displayNameFromDS), h('i', { style: { background: shown.color } }, shown.text));
  })),
};

function Panel({ panel, data, range, width, height }) {
  const empty = data.length === 0 || data.every((frame) => frame.length === 0);
  return h(PanelChrome, { title: panel.title, width, height, padding: panel.type === 'table' ? 'none' : 'md' }, (inner, tall) =>
    empty ? h('div', { className: 'none' }, panel.fieldConfig.defaults.noValue) : kinds[panel.type](panel, data, range, inner, tall));
}

async function main() {
  const name = location.search.slice(1);
  const [dashboard, { from, to, answers }] = await Promise.all([`${name}.json`, `${name}.data.json`].map(async (file) => (await fetch(file)).json()));
  const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-1h', to: 'now' } };
  const unit = (innerWidth - GAP) / GRID;
  const drawn = await Promise.all(dashboard.panels.map(async (panel) => {
    const { x, y, w, h: tall } = panel.gridPos;
    const style = { left: GAP / 2 + x * unit, top: TOP + y * (ROW + GAP), width: w * unit, height: tall * (ROW + GAP) };
    if (panel.type === 'row') return h('div', { key: panel.id, className: 'place row', style }, `▾ ${panel.title}`);
    const data = await frames(panel, answers[panel.id]);
    return h('div', { key: panel.id, className: 'place', style }, h(Panel, { panel, data, range, width: style.width - GAP, height: style.height - GAP }));
  }));
  document.body.style.background = theme.colors.background.canvas;
  document.body.style.color = theme.colors.text.primary;
  const variables = dashboard.templating.list.map((variable) => variable.label).join(' · ');
  createRoot(document.getElementById('root')).render(h(ThemeContext.Provider, { value: theme }, h(GlobalStyles), h('h1', null, dashboard.title), h('div', { className: 'variables' }, variables), drawn));
}

main().catch((error) => { document.body.textContent = error.stack; });
