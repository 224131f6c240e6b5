/** `admin { … }`: what it says, its defaults, and what cannot be meant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, loadNginxConfig } from '../../src/config/nginx/load.ts';
import type { AdminConfig } from '../../src/config/kong/settings.ts';

async function load(text: string): Promise<AdminConfig | null | undefined> {
  const files: Record<string, string> = {
    '/p/conf/nginx.conf': `${text}\nevents {}`,
    '/p/conf/kong.yml': 'a: ü',
    '/p/conf/k.pem': 'KEY',
  };
  const { config } = await loadNginxConfig({
    prefix: '/p',
    file: 'conf/nginx.conf',
    cpuCount: 1,
    superUser: false,
    lookup: () => [],
    readFile: (file) => {
      const found = files[file];
      if (found === undefined) throw Object.assign(new Error(file), { code: 'ENOENT' });
      return Buffer.from(found).toString('latin1');
    },
  });
  return config.admin;
}

test('without the block there is none', async () => assert.equal((await load('')) ?? null, null));

const PLAIN = { ssl: false, http2: false, udp: false, proxyProtocol: false };

test('alone', async () => {
  assert.deepEqual(await load('admin {}'), {
    listens: [{ text: '127.0.0.1:8001', host: '127.0.0.1', port: 8001, ...PLAIN }],
    proxyListens: [{ text: '0.0.0.0:8000', host: '0.0.0.0', port: 8000, ...PLAIN }],
    streamListens: [],
    statusListens: [],
    realIp: { from: [], header: 'X-Real-IP', recursive: false },
    store: 'sqlite:/p/data/kong.db',
    dataDir: '/p/data',
    declarative: null,
    databaseless: false,
    token: null,
    origins: [],
    hosts: [],
    nameServers: null,
    tls: null,
    proxyTls: [],
    ownTls: null,
  });
});

test('with everything', async () => {
  const admin = await load(`admin {
    listen 127.0.0.1:1; listen [::1]:2 ssl; proxy_listen 9000; data d; declarative kong.yml; token t;
    origin http://a; origin http://b; host h; dns_resolver 127.0.0.1:5353; ssl_certificate k.pem; ssl_certificate_key k.pem;
    proxy_listen 9443 http2 ssl proxy_protocol; proxy_ssl_certificate k.pem; proxy_ssl_certificate_key k.pem;
    stream_listen 9000 udp; stream_listen 9000; status_listen 8007;
    set_real_ip_from 10.0.0.0/8 ::/0; real_ip_header X-Forwarded-For; real_ip_recursive on;
  }`);
  assert.deepEqual(admin, {
    listens: [
      { text: '127.0.0.1:1', host: '127.0.0.1', port: 1, ...PLAIN },
      { text: '[::1]:2', host: '0000:0000:0000:0000:0000:0000:0000:0001', port: 2, ...PLAIN, ssl: true },
    ],
    proxyListens: [
      { text: '9000', host: '127.0.0.1', port: 9000, ...PLAIN },
      { text: '9443', host: '127.0.0.1', port: 9443, ssl: true, http2: true, udp: false, proxyProtocol: true },
    ],
    streamListens: [
      { text: '9000', host: '127.0.0.1', port: 9000, ...PLAIN, udp: true },
      { text: '9000', host: '127.0.0.1', port: 9000, ...PLAIN },
    ],
    statusListens: [{ text: '8007', host: '127.0.0.1', port: 8007, ...PLAIN }],
    realIp: { from: ['10.0.0.0/8', '::/0'], header: 'X-Forwarded-For', recursive: true },
    store: 'memory',
    dataDir: '/p/d',
    declarative: { file: '/p/conf/kong.yml', text: 'a: ü' },
    databaseless: true,
    token: 't',
    origins: ['http://a', 'http://b'],
    hosts: ['h'],
    nameServers: [{ host: '127.0.0.1', port: 5353 }],
    tls: { cert: 'KEY', key: 'KEY' },
    proxyTls: [{ cert: 'KEY', key: 'KEY' }],
    ownTls: null,
  });
  assert.equal((await load('admin { store postgres://u:p@h/d; }'))?.store, 'postgres://u:p@h/d');
  assert.equal((await load('admin { store sqlite:x/y.db; }'))?.store, 'sqlite:/p/x/y.db');
});

test('TLS without a certificate gets one that is made at the start', async () => {
  const admin = await load('admin { listen 1.2.3.4:1 ssl; }');
  assert.equal(admin?.tls, null);
  assert.equal(admin?.listens[0]?.ssl, true);
});

const REFUSED: [text: string, message: RegExp][] = [
  ['admin {} admin {}', /^"admin" directive is duplicate in .*:1$/],
  ['admin { listen x; }', /^invalid address "x"; it can be ADDRESS:PORT, perhaps with "ssl" after it in .*:1$/],
  ['admin { listen 1.2.3.4:1; listen 1.2.3.4:1; }', /^duplicate listen options for "1\.2\.3\.4:1" in .*:1$/],
  [
    'admin { store mysql://x; }',
    /^unknown store "mysql:\/\/x", it can be sqlite:FILE, postgres:\/\/…, or memory in .*:1$/,
  ],
  ['admin { store a; store b; }', /^"store" directive is duplicate in .*:1$/],
  [
    'admin { declarative none.yml; }',
    /^open\(\) "\/p\/conf\/none\.yml" failed \(2: No such file or directory\) in .*:1$/,
  ],
  ['admin { declarative kong.yml; store sqlite:x; }', /^"declarative" keeps entities in memory/],
  ['admin { listen 1.2.3.4:1 udp; }', /^unknown parameter "udp" of address "1\.2\.3\.4:1" in .*:1$/],
  ['admin { stream_listen 1 ssl udp; }', /^"ssl" and "udp" of address "1" cannot be together in .*:1$/],
  ['admin { set_real_ip_from x; }', /^invalid network "x"; it can be ADDRESS, ADDRESS\/BITS or unix: in .*:1$/],
  ['admin { real_ip_header "a b"; }', /^invalid "real_ip_header" "a b" of "admin"/],
  [
    'admin { proxy_ssl_certificate k.pem; }',
    /^"proxy_ssl_certificate" and "proxy_ssl_certificate_key" of "admin" belong together/,
  ],
  ['admin { ssl_certificate k.pem; }', /^"ssl_certificate" and "ssl_certificate_key" of "admin" belong together/],
  ['admin { worker_connections 1; }', /^"worker_connections" directive is not allowed here in .*:1$/],
];
for (const [text, message] of REFUSED) {
  test(text, async () => {
    await assert.rejects(load(text), (error) => error instanceof ConfigError && message.test(error.message));
  });
}
