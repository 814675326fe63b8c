"""What the dashboards are put together from: panels, variables, rows, and thresholds that are the alerts' own."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TAG = "stack-exporter"
SOURCE = {"type": "prometheus", "uid": "$datasource"}
RATE = "$__rate_interval"
GREEN, AMBER, RED, PLAIN = "green", "orange", "red", "text"


def alert(name):
    """The number that an alert compares with, read from its rule: a threshold can never differ from it."""
    rules = "\n".join(path.read_text() for path in sorted((ROOT / "docker/prometheus/rules").glob("*.yml")))
    found = re.search(rf"- alert: {name}\n\s+expr: .*?[<>]=? ([0-9.e+]+)\n", rules)
    if not found:
        raise SystemExit(f"no alert {name} that compares with a number")
    return float(found[1])


def above(*steps):
    """Green, then amber and red from these values on; with one value, red."""
    colours = [RED] if len(steps) == 1 else [AMBER, RED]
    return [(None, GREEN), *zip(steps, colours)]


def below(amber, red):
    """Red up to `red`, amber up to `amber`, green beyond."""
    return [(None, RED), (red, AMBER), (amber, GREEN)]


GOOD_IF_ONE = [(None, RED), (1, GREEN)]
BAD_IF_ANY = above(1)
NEUTRAL = [(None, PLAIN)]


def _panel(kind, title, description, unit, size, none, steps, targets, options, custom=None, **more):
    defaults = {
        "unit": unit,
        "noValue": none,
        "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]},
        "custom": custom or {},
    }
    defaults.update(more.pop("defaults", {}))
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"h": size[1], "w": size[0], "x": 0, "y": 0},
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        "options": options,
        "targets": targets,
        **more,
    }


def _targets(queries, **more):
    letters = "ABCDEFGHIJKLMNOP"
    return [
        {"datasource": SOURCE, "expr": expression, "legendFormat": legend, "refId": letters[at], **more}
        for at, (expression, legend) in enumerate(queries)
    ]


def stat(title, description, expression, unit="short", steps=NEUTRAL, none="none", size=(4, 4), legend="", maps=None, decimals=None):
    """One number, or one for each series."""
    calculation = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    options = {"reduceOptions": calculation, "colorMode": "value", "graphMode": "area", "justifyMode": "auto",
               "orientation": "auto", "textMode": "auto"}
    defaults = {}
    if maps:
        options["graphMode"] = "none"
        defaults["mappings"] = [{"type": "value", "options": {str(value): {"text": text, "index": at} for at, (value, text) in enumerate(maps.items())}}]
    if decimals is not None:
        defaults["decimals"] = decimals
    return _panel("stat", title, description, unit, size, none, steps, _targets([(expression, legend)]), options, defaults=defaults)


def graph(title, description, queries, unit="short", none="No data in this time range.", size=(12, 8), steps=None, stack=False, floor=0, ceiling=None, negative=None):
    """Lines over time; `steps` draws the alert's threshold, `negative` names what is drawn below zero."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stack else 8, "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": "normal" if stack else "none", "group": "A"},
              "thresholdsStyle": {"mode": "dashed" if steps else "off"}}
    options = {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["mean", "lastNotNull", "max"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    defaults = {} if floor is None or negative else {"min": floor}
    if ceiling is not None:
        defaults["max"] = ceiling
    elif not negative:
        # The alert's line stays in sight, and a line of zeros is not drawn below 10,000 %.
        custom["axisSoftMax"] = max((value for value, _ in steps or [] if value is not None), default={"percentunit": 0.01, "s": 0.001}.get(unit, 1))
    overrides = []
    if negative:
        overrides = [{"matcher": {"id": "byRegexp", "options": f"/{negative}/"}, "properties": [{"id": "custom.transform", "value": "negative-Y"}]}]
    return _panel("timeseries", title, description, unit, size, none, steps or [(None, GREEN)], _targets(queries), options, custom, defaults=defaults, overrides=overrides)


def bars(title, description, expression, legend, unit="short", none="none", size=(12, 8), steps=NEUTRAL, ceiling=None):
    """A bar for each series, now."""
    options = {"displayMode": "basic", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color",
               "sizing": "manual", "minVizHeight": 16, "minVizWidth": 8, "maxVizHeight": 28, "namePlacement": "auto", "text": {"titleSize": 13, "valueSize": 16},
               "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    defaults = {"min": 0} | ({} if ceiling is None else {"max": ceiling})
    return _panel("bargauge", title, description, unit, size, none, steps, _targets([(expression, legend)], instant=True, range=False), options, defaults=defaults)


def table(title, description, columns, keys, none="none", size=(24, 8), link=None):
    """A row for each set of `keys`; `columns` are (heading, expression, unit, steps)."""
    targets = _targets([(expression, "") for _, expression, _, _ in columns], instant=True, range=False, format="table")
    only = len(columns) == 1
    names = {"Value" if only else f"Value #{target['refId']}": heading for target, (heading, _, _, _) in zip(targets, columns)}
    order = {name: at for at, name in enumerate([*keys, *names])}
    transformations = [{"id": "merge", "options": {}},
                       {"id": "filterFieldsByName", "options": {"include": {"names": list(order)}}},
                       {"id": "organize", "options": {"excludeByName": {}, "indexByName": order, "renameByName": names}}]
    # A cell without a value would hold the sentence that an empty panel shows.
    blank = {"id": "noValue", "value": "–"}
    overrides = [{"matcher": {"id": "byName", "options": key}, "properties": [blank]} for key in keys]
    for heading, _, unit, steps in columns:
        properties = [{"id": "unit", "value": unit}, blank]
        if steps:
            properties += [{"id": "thresholds", "value": {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]}},
                           {"id": "custom.cellOptions", "value": {"type": "color-text"}}]
        overrides.append({"matcher": {"id": "byName", "options": heading}, "properties": properties})
    if link:
        key, text, target = link
        overrides.append({"matcher": {"id": "byName", "options": key}, "properties": [{"id": "links", "value": [{"title": text, "url": target}]}]})
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}}
    return _panel("table", title, description, "short", size, none, NEUTRAL, targets, options, transformations=transformations, overrides=overrides)


def timeline(title, description, expression, legend, maps, none="none", size=(24, 6)):
    """A strip for each series; `maps` gives a value its word and colour."""
    options = {"showValue": "auto", "rowHeight": 0.8, "mergeValues": True, "alignValue": "left",
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "single", "sort": "none"}}
    mappings = [{"type": "value", "options": {str(value): {"text": text, "color": colour, "index": at} for at, (value, (text, colour)) in enumerate(maps.items())}}]
    return _panel("state-timeline", title, description, "short", size, none, NEUTRAL, _targets([(expression, legend)]), options,
                  {"fillOpacity": 70, "lineWidth": 0}, defaults={"mappings": mappings})


def query(name, label, metric, source, every=".+", multi=True):
    """A variable with the values of label `source` of a metric that is always there."""
    text = f"label_values({metric}, {source})"
    return {"type": "query", "name": name, "label": label, "datasource": SOURCE,
            "query": {"query": text, "refId": f"variable-{name}"}, "refresh": 2, "sort": 1, "regex": "",
            "multi": multi, "includeAll": multi, "allValue": every if multi else None, "hide": 0, "skipUrlSync": False}


def text(name, label, value, description):
    """A variable that the reader may type over."""
    return {"type": "textbox", "name": name, "label": label, "description": description, "query": value, "hide": 0, "skipUrlSync": False}


def instances(metric):
    """The data source, job and instance of a metric."""
    return [{"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "regex": "", "refresh": 1,
             "multi": False, "includeAll": False, "hide": 0, "skipUrlSync": False},
            query("job", "Job", metric, "job"),
            query("instance", "Instance", f'{metric}{{job=~"$job"}}', "instance")]


def to(uid, **variables):
    """The address of another dashboard, with the range and these variables."""
    return f"/d/{uid}?${{__url_time_range}}" + "".join(f"&var-{name}={value}" for name, value in variables.items())


def annotation(name, expression, title, colour):
    return {"name": name, "datasource": SOURCE, "enable": True, "hide": False, "iconColor": colour, "expr": expression,
            "titleFormat": title, "step": "60s"}


def dashboard(uid, title, description, variables, sections, matchers="", annotations=()):
    """`sections` are (heading, panels). `@` in an expression stands for the matchers of the page's variables."""
    chosen = 'job=~"$job",instance=~"$instance"' + matchers
    panels, number, top = [], 1, 0
    for heading, members in sections:
        panels.append({"type": "row", "id": number, "title": heading, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": 24, "x": 0, "y": top}})
        number, top, left, tall = number + 1, top + 1, 0, 0
        for panel in members:
            place = panel["gridPos"]
            if left + place["w"] > 24:
                top, left, tall = top + tall, 0, 0
            place["x"], place["y"] = left, top
            left, tall = left + place["w"], max(tall, place["h"])
            for target in panel["targets"]:
                target["expr"] = target["expr"].replace("@", chosen)
            panels.append({"id": number, **panel})
            number += 1
        top += tall
    listed = [annotation(name, expression.replace("@", chosen), text, colour) for name, expression, text, colour in annotations]
    return {
        "id": None, "uid": uid, "title": title, "description": description, "tags": [TAG], "schemaVersion": 39, "version": 1,
        "editable": False, "graphTooltip": 1, "timezone": "browser", "refresh": "30s", "time": {"from": "now-3h", "to": "now"},
        "fiscalYearStartMonth": 0, "liveNow": False, "weekStart": "", "timepicker": {},
        "annotations": {"list": listed}, "templating": {"list": variables},
        "links": [{"type": "dashboards", "title": "Dashboards", "tags": [TAG], "asDropdown": True, "includeVars": True, "keepTime": True,
                   "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "panels": panels,
    }
