/** The one nginx.conf that nginx and Headrace both read. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFilesLimit } from '../lib/proc.ts';
import { isHttp2 } from '../lib/scenarios.ts';
import type { Setup } from './types.ts';

/** How many idle connections to the servers are kept. */
export const KEEPALIVE = 64;

/**
 * Writes nginx.conf into the directory and returns its path.
 *
 * All is the default but what a benchmark must say: one worker, no access log, kept-alive connections to the servers,
 * and bodies that pass through memory instead of temporary files (whose cost would be the disk's).
 */
export function writeNginxConf(setup: Setup): string {
  const { directory, tls, protocol } = setup;
  const secure = tls
    ? `
    ssl_certificate ${tls.certificate};
    ssl_certificate_key ${tls.key};
    ssl_protocols TLSv1.2 TLSv1.3;`
    : '';
  const text = `worker_processes 1;
daemon off;
pid ${directory}/proxy.pid;
error_log stderr error;

events {
  worker_connections ${Math.min(8192, openFilesLimit() - 64)};
}

${protocol === 'tcp' || protocol === 'udp' ? stream(setup) : http(setup, secure)}`;
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, text);
  return file;
}

const PROXY = `
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;`;

const GRPC = `
      grpc_pass grpc://backends;`;

function http(setup: Setup, secure: string): string {
  const { directory, port, tls, servers, protocol } = setup;
  // The older way to ask for HTTP/2, which all versions of nginx know. h2load does not connect again.
  const http2 = isHttp2(setup) ? ' http2' : '';
  const lasting = isHttp2(setup) ? '\n    keepalive_requests 1000000000;' : '';
  return `http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;

  upstream backends {
${servers.map((server) => `    server ${server};`).join('\n')}
    keepalive ${KEEPALIVE};
  }

  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''}${http2};${secure}${lasting}
    client_max_body_size 16m;

    location / {${protocol === 'grpc' ? GRPC : PROXY}
    }
  }
}
`;
}

/** A relay; everything is the default. */
function stream({ port, servers, protocol }: Setup): string {
  return `stream {
  upstream backends {
${servers.map((server) => `    server ${server};`).join('\n')}
  }

  server {
    listen 127.0.0.1:${port}${protocol === 'udp' ? ' udp' : ''};
    proxy_pass backends;
  }
}
`;
}
