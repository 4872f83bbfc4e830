// A plain Node server: no watchdog, and its own port (the image exposes 3000).
'use strict';

const http = require('node:http');

const port = Number(process.env.PORT || 3000);
const bodyBytesMax = 16 * 1024 * 1024;

const server = http.createServer((request, response) => {
  const chunks = [];
  let length = 0;
  request.on('data', (chunk) => {
    length += chunk.length;
    if (length > bodyBytesMax) {
      response.writeHead(413, { Connection: 'close' }).end('the body is too large\n');
      request.destroy();
      return;
    }
    chunks.push(chunk);
  });
  request.on('end', () => {
    const who = Buffer.concat(chunks).toString().trim() || 'world';
    const body = JSON.stringify({ hello: who, method: request.method, path: request.url }) + '\n';
    response.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  });
});

server.keepAliveTimeout = 0; // the platform decides when a connection ends
server.listen(port, () => console.log(`listening on port ${port}`));
process.on('SIGTERM', () => process.exit(0));
