// Node's own HTTP server, with a child process and a timer among its connections.
const http = require('http');
const { execFile } = require('child_process');

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const answer = (more) => {
      const body = Buffer.concat([...pieces, more]).reverse();
      response.sendDate = false;
      response.writeHead(200, { 'Content-Length': body.length, 'Connection': 'keep-alive' });
      response.end(body);
    };
    if (request.url === '/child') execFile('echo', ['child'], (_, out) => answer(Buffer.from(out)));
    else if (request.url === '/sleep') setTimeout(() => answer(Buffer.alloc(0)), 20);
    else answer(Buffer.alloc(0));
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
