// An application as the dashboard "SPOON Health" expects it: real prom-client, its usual names, measured around real answers.
// node dashboards_app.js PORT [ADDRESS]
const http = require('http');
const client = require('prom-client');

client.collectDefaultMetrics();
const duration = new client.Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time to answer a request.',
  labelNames: ['method', 'route', 'status_code'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});
// When each session was last here; a window's users are those within it.
const seen = new Map();
new client.Gauge({
  name: 'app_active_users',
  help: 'Users seen lately, by window.',
  labelNames: ['window'],
  collect() {
    for (const [window, seconds] of [['5m', 300], ['1h', 3600]]) {
      const since = Date.now() - seconds * 1000;
      this.set({ window }, [...seen.values()].filter((at) => at > since).length);
    }
  },
});

const routes = [[/^\/$/, '/'], [/^\/login$/, '/login'], [/^\/menu\/\d+$/, '/menu/[id]'], [/^\/order$/, '/order']];

http.createServer(async (request, response) => {
  if (request.url === '/api/metrics') {
    response.setHeader('Content-Type', client.register.contentType);
    response.end(await client.register.metrics());
    return;
  }
  const [, route] = routes.find(([pattern]) => pattern.test(request.url)) || [null, 'other'];
  const end = duration.startTimer({ method: request.method, route });
  const session = (request.headers.cookie || '').match(/session=(\w+)/);
  if (session) seen.set(session[1], Date.now());
  // Most answers take a moment, few a long one; one order of ten fails.
  await new Promise((ready) => setTimeout(ready, 1200 * Math.random() ** 6));
  const status = route === 'other' ? 404 : route === '/order' && Math.random() < 0.1 ? 500 : 200;
  response.writeHead(status, { 'Content-Type': 'text/plain' });
  response.end(`${route}\n`);
  end({ status_code: String(status) });
}).listen(Number(process.argv[2]), process.argv[3] || '127.0.0.1');
