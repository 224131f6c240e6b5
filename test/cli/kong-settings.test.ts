/** What `headrace kong` is told: options before its own environment before Kong's, and what cannot be meant. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { type Environment, type KongOptions, readKongOptions } from '../../src/cli/kong-settings.ts';
import { UsageError } from '../../src/cli/options.ts';
import { directory } from '../helpers/headrace.ts';

const read = (args: string[] = [], env: Environment = {}): KongOptions =>
  readKongOptions(args, { XDG_DATA_HOME: '/d', ...env }, '/cwd');
const store = (args: string[] = [], env: Environment = {}): string =>
  read(['--data', '/data', ...args], env).admin.store;

const plain = { ssl: false, http2: false, udp: false, proxyProtocol: false };

test('alone: loopback for the API, everybody for the proxy, SQLite in the data directory', () => {
  const { admin, workers, errorLog, pidFile } = read(['--data', 'here']);
  assert.deepEqual(
    { ...admin, workers, errorLog, pidFile },
    {
      listens: [{ text: '127.0.0.1:8001', host: '127.0.0.1', port: 8001, ...plain }],
      proxyListens: [{ text: '0.0.0.0:8000', host: '0.0.0.0', port: 8000, ...plain }],
      streamListens: [],
      statusListens: [],
      realIp: { from: [], header: 'X-Real-IP', recursive: false },
      store: 'sqlite:/cwd/here/kong.db',
      dataDir: '/cwd/here',
      declarative: null,
      databaseless: false,
      token: null,
      origins: [],
      hosts: [],
      nameServers: null,
      tls: null,
      proxyTls: [],
      ownTls: null,
      workers: null,
      errorLog: 'stderr',
      pidFile: null,
    },
  );
});

test('an option counts before HEADRACE_…, and that before KONG_…', () => {
  const env = { KONG_ADMIN_LISTEN: '127.0.0.3:1', HEADRACE_ADMIN_LISTEN: '127.0.0.2:1' };
  const port = (args: string[], from: Environment): string | undefined => read(args, from).admin.listens[0]?.host;
  assert.equal(port(['--admin-listen', '127.0.0.1:1'], env), '127.0.0.1');
  assert.equal(port([], env), '127.0.0.2');
  assert.equal(port([], { KONG_ADMIN_LISTEN: '127.0.0.3:1 reuseport backlog=16384' }), '127.0.0.3');
  assert.equal(read([], { KONG_NGINX_WORKER_PROCESSES: '3' }).workers, 3);
});

test('addresses, and what stands behind them', () => {
  const { admin } = read(['--stream-listen', '9000 ssl, *:9001 udp reuseport'], {
    KONG_PROXY_LISTEN: '0.0.0.0:8000, 0.0.0.0:8443 http2 ssl reuseport backlog=16384',
  });
  assert.deepEqual(
    admin.proxyListens.map(({ port, ssl, http2 }) => [port, ssl, http2]),
    [
      [8000, false, false],
      [8443, true, true],
    ],
  );
  assert.deepEqual(
    admin.streamListens.map(({ host, port, ssl, udp }) => [host, port, ssl, udp]),
    [
      ['127.0.0.1', 9000, true, false],
      ['0.0.0.0', 9001, false, true],
    ],
  );
  assert.deepEqual(read(['--admin-listen', 'off']).admin.listens, []);
  assert.equal(read(['--admin-listen', '[::1]:80']).admin.listens[0]?.port, 80);
});

test('proxies in front', () => {
  const env = {
    KONG_TRUSTED_IPS: '0.0.0.0/0,::/0',
    KONG_REAL_IP_HEADER: 'X-Forwarded-For',
    KONG_REAL_IP_RECURSIVE: 'on',
  };
  assert.deepEqual(read([], env).admin.realIp, {
    from: ['0.0.0.0/0', '::/0'],
    header: 'X-Forwarded-For',
    recursive: true,
  });
});

suite('stores', () => {
  const rows: [args: string[], env: Environment, store: string][] = [
    [[], {}, 'sqlite:/data/kong.db'],
    [['--store', 'sqlite:a.db'], {}, 'sqlite:/cwd/a.db'],
    [['--store', '/x/a.db'], {}, 'sqlite:/x/a.db'],
    [['--store', 'memory'], {}, 'memory'],
    [['--store', 'postgres://h/d'], {}, 'postgres://h/d'],
    [[], { HEADRACE_STORE: 'memory' }, 'memory'],
    [[], { KONG_DATABASE: 'off' }, 'memory'],
    [[], { KONG_DATABASE: 'postgres' }, 'postgres://kong@127.0.0.1:5432/kong'],
    [
      [],
      { KONG_PG_HOST: 'db', KONG_PG_USER: 'u', KONG_PG_PASSWORD: 'p@/:', KONG_PG_DATABASE: 'd', KONG_PG_PORT: '1' },
      'postgres://u:p%40%2F%3A@db:1/d',
    ],
    [[], { KONG_PG_HOST: 'db', KONG_PG_SSL: 'on' }, 'postgres://kong@db:5432/kong?sslmode=no-verify'],
    [['--store', 'memory'], { KONG_DATABASE: 'postgres' }, 'memory'],
  ];
  for (const [args, env, expected] of rows) {
    test(`${args.join(' ')} ${JSON.stringify(env)}`, () => assert.equal(store(args, env), expected));
  }
  test('a file of entities is kept in memory', (t) => {
    const file = join(directory(t), 'kong.yml');
    writeFileSync(file, 'text');
    const { admin } = read([], { KONG_DECLARATIVE_CONFIG: file });
    assert.deepEqual([admin.declarative, admin.store, admin.databaseless], [{ file, text: 'text' }, 'memory', true]);
    assert.throws(() => read(['--config', file, '--store', 'sqlite:x']), UsageError);
  });
});

suite('what cannot be meant', () => {
  const rows: [args: string[], env: Environment, text: RegExp][] = [
    [['--nope'], {}, /^Unknown option '--nope'/],
    [['extra'], {}, /^Unexpected argument 'extra'/],
    [
      ['--admin-listen', 'x'],
      {},
      /^--admin-listen: invalid address "x"; it can be ADDRESS:PORT, perhaps with "ssl" after it$/,
    ],
    [
      ['--admin-listen', '127.0.0.1:1 fast'],
      {},
      /^--admin-listen: unknown parameter "fast" of address "127\.0\.0\.1:1"$/,
    ],
    [['--proxy-listen', '1.2.3.4'], {}, /^--proxy-listen: invalid address "1\.2\.3\.4"/],
    [['--store', 'mysql://x'], {}, /^unknown store "mysql:\/\/x"; it can be sqlite:FILE, postgres:\/\/…, or memory$/],
    [['--store', ''], {}, /^a store needs an address/],
    [['--config', '/nowhere/kong.yml'], {}, /^\/nowhere\/kong\.yml cannot be read: ENOENT/],
    [['--workers', '0'], {}, /^--workers 0: it can be auto, or a number from 1 to 999$/],
    [['--admin-ssl-cert', 'x'], {}, /^--admin-ssl-cert and --admin-ssl-key belong together$/],
    [['--ssl-cert', 'x,y', '--ssl-key', 'z'], {}, /^--ssl-cert and --ssl-key belong together$/],
    [
      ['--trusted-ips', '10.0.0.0/8,x'],
      {},
      /^--trusted-ips: invalid network "x"; it can be ADDRESS, ADDRESS\/BITS or unix:$/,
    ],
    [
      ['--real-ip-header', 'a b;'],
      {},
      /^--real-ip-header a b;: it can be the name of a header field, or proxy_protocol$/,
    ],
    [['--real-ip-recursive', 'x'], {}, /^--real-ip-recursive x: it can be on or off$/],
    [['--stream-listen', '1 ssl udp'], {}, /^--stream-listen: "ssl" and "udp" of address "1" cannot be together$/],
    [['--stream-listen', '1 http2'], {}, /^--stream-listen: unknown parameter "http2" of address "1"$/],
    [[], { KONG_DATABASE: 'cassandra' }, /^KONG_DATABASE=cassandra: it can be postgres or off$/],
  ];
  for (const [args, env, text] of rows) {
    test(`${args.join(' ')} ${JSON.stringify(env)}`, () => {
      assert.throws(
        () => read(args, env),
        (error) => error instanceof UsageError && text.test(error.message),
      );
    });
  }
});
