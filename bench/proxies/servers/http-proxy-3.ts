/** http-proxy-3 on a plain server, with a keep-alive agent (without one it opens a connection for each request). */
import { Agent, type IncomingMessage, type ServerResponse } from 'node:http';
import { inTurn, load, origins, serve } from './common.ts';

type ProxyServer = {
  web(request: IncomingMessage, response: ServerResponse, options: { target: string }): void;
  on(event: 'error', listener: (error: Error, request: IncomingMessage, response: ServerResponse) => void): void;
};
type Module = { createProxyServer(options: { agent: Agent }): ProxyServer };

const proxy = (load('http-proxy-3') as Module).createProxyServer({ agent: new Agent({ keepAlive: true }) });
proxy.on('error', (error, request, response) => {
  if (!response.headersSent) response.writeHead(502);
  response.end();
});

const target = inTurn(origins);
serve((request, response) => proxy.web(request, response, { target: target() }));
