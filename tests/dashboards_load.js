// Some thirty users of the application, for ever: node dashboards_load.js http://127.0.0.1:3000
const http = require('http');

const agent = new http.Agent({ keepAlive: true });
const paths = ['/', '/login', '/menu/1', '/menu/2', '/order', '/gone'];

function visit(user) {
  const path = paths[Math.floor(Math.random() * paths.length)];
  const again = () => setTimeout(visit, 500 * Math.random(), user);
  http.get(process.argv[2] + path, { agent, headers: { cookie: `session=u${user}` } }, (response) => {
    response.resume();
    response.on('end', again);
  }).on('error', again);
}

for (let user = 0; user < 30; user += 1) visit(user);
