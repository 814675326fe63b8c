// An application as the dashboard "SPOON Health" expects it: real prom-client, its usual names, under a load of its own.
const http = require('http');
const client = require('prom-client');

client.collectDefaultMetrics();
const duration = new client.Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time to answer a request.',
  labelNames: ['method', 'route', 'status_code'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});
const users = new client.Gauge({ name: 'app_active_users', help: 'Users seen lately, by window.', labelNames: ['window'] });

const routes = ['/', '/login', '/menu/[id]', '/order'];
setInterval(() => {
  for (const route of routes) {
    const status = { 0: 500, 1: 404 }[Math.floor(Math.random() * 40)] || 200;
    duration.observe({ method: 'GET', route, status_code: String(status) }, Math.random() ** 4);
  }
  users.set({ window: '5m' }, 20 + Math.floor(Math.random() * 5));
  users.set({ window: '1h' }, 120);
}, 20);

http.createServer(async (request, response) => {
  response.setHeader('Content-Type', client.register.contentType);
  response.end(await client.register.metrics());
}).listen(Number(process.argv[2]), '127.0.0.1');
