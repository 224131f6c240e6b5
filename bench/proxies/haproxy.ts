/** HAProxy, one thread. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isHttp2 } from '../lib/scenarios.ts';
import { versionOf } from '../lib/version.ts';
import type { Proxy, Setup } from './types.ts';

/** HAProxy's dynamic round robin takes at most 4,095 servers; beyond that the static one is the way. */
const ROUND_ROBIN_LIMIT = 4095;

export const haproxy: Proxy = {
  name: 'haproxy',
  kind: 'native',
  install: 'apt install haproxy',
  measureStart: true,
  speaks: ['http2', 'grpc', 'tcp'],
  version: () => versionOf('haproxy', ['-v'], /version (\S+)/),
  prepare: (setup) => ({ file: 'haproxy', args: ['-db', '-f', writeConfiguration(setup)] }),
};

function writeConfiguration(setup: Setup): string {
  const { directory, port, tls, servers, protocol } = setup;
  const mode = protocol === 'tcp' ? 'tcp' : 'http';
  let secure = '';
  if (tls) {
    const pem = join(directory, 'haproxy.pem');
    writeFileSync(pem, readFileSync(tls.certificate, 'utf8') + readFileSync(tls.key, 'utf8'), { mode: 0o600 });
    secure = ` ssl crt ${pem}${isHttp2(setup) ? ' alpn h2' : ''}`;
  } else if (isHttp2(setup)) secure = ' proto h2';
  const text = `global
  nbthread 1
  maxconn 4096

defaults
  mode ${mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${mode === 'http' ? '  http-reuse always\n' : ''}
frontend clients
  bind 127.0.0.1:${port}${secure}
  default_backend backends

backend backends
  balance ${servers.length > ROUND_ROBIN_LIMIT ? 'static-rr' : 'roundrobin'}
${servers.map((server, index) => `  server s${index} ${server}${protocol === 'grpc' ? ' proto h2' : ''}`).join('\n')}
`;
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, text);
  return file;
}
