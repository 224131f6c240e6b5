/** An any-proxy configuration becomes the model that nginx's has, too. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadAnyproxyConfig } from '../../../src/config/anyproxy/load.ts';
import { ConfigError } from '../../../src/config/errors.ts';
import type { Config, UpstreamConfig } from '../../../src/config/model.ts';
import { makeSelfSigned } from '../../../src/net/self-signed.ts';

const { cert, key } = makeSelfSigned('www.example.cn', Date.now());
const FILE = '/t/a.conf';
const HOSTS: Record<string, string[]> = { 'www.upstream.cn': ['192.0.2.10', '192.0.2.9', '2001:db8::1'] };

async function loaded(
  text: string,
  files: Record<string, string> = {},
): Promise<{ config: Config; warnings: string[] }> {
  const all: Record<string, string> = { '/t/cert/k.pem': key, '/t/cert/c.pem': cert, ...files, [FILE]: text };
  const { config, warnings } = await loadAnyproxyConfig({
    prefix: '/t',
    file: FILE,
    cpuCount: 4,
    superUser: false,
    lookup: (host) => (HOSTS[host] ?? []).map((one) => ({ host: one, family: one.includes(':') ? 6 : 4 })),
    readFile: (file) => {
      const found = all[file];
      if (found === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
      return found;
    },
    glob: () => [],
  });
  return { config, warnings: warnings.map(({ message }) => message) };
}

const upstreams = async (text: string): Promise<UpstreamConfig[]> => (await loaded(text)).config.stream!.upstreams;

async function fails(text: string, message: RegExp): Promise<void> {
  await assert.rejects(
    () => loaded(text),
    (error) => error instanceof ConfigError && (assert.match(error.message, message), true),
  );
}

const raw = (toml: string): string => `raw = r\`\`\`\n${toml}\n\`\`\`r;`;
const server = (name: string, lines: string): string => `server {\nname str = ${name};\n${lines}\n}`;
const group = (lines: string): string => `upstream {\n${server('u', lines)}\n}`;
const net = (lines: string): string => `http {\nserver {\n${lines}\n}\n}`;
const plain = `proxy_pass_tcp ${raw('address = "127.0.0.1:9001"')}`;
const listening = (port: number): string => `port_listen_tcp ${raw(`address = "0.0.0.0:${port}"`)}`;

/** The upstream block of any-proxy's own document, as it stands there. */
const DOCUMENT = `
upstream {
    server {
        #配置名字，可以根据名字来引用配置
        name str = upstream1;
        #负载均衡 weight round_robin random ip_hash ip_hash_active fair
        balancer str = random;
        proxy_pass_tcp raw = r\`\`\`
            address = "www.upstream.cn:10001"
            is_proxy_protocol_hello = true
        \`\`\`r;
        proxy_pass_ssl raw = r\`\`\`
            ssl_domain= "www.example.cn"
            address = "www.upstream.cn:10011"
            is_proxy_protocol_hello = true
        \`\`\`r;
        proxy_pass_quic raw = r\`\`\`
            ssl_domain= "www.example.cn"
            address = "www.upstream.cn:10011"
            is_proxy_protocol_hello = true
        \`\`\`r;
        proxy_pass_tunnel_tcp raw = r\`\`\`
            tunnel = { max_stream_size = 5, min_stream_cache_size = 50, channel_size = 64}
            address = "www.upstream.cn:10001"
            #heartbeat = {interval = 10, timeout = 10, fail = 3}
            #dynamic_domain = {interval = 10}
            is_proxy_protocol_hello = true
        \`\`\`r;
        proxy_pass_tunnel_ssl raw = r\`\`\`
            tunnel = { max_stream_size = 5, min_stream_cache_size = 50, channel_size = 64}
            ssl_domain= "www.example.cn"
            address = "www.upstream.cn:10011"
            #heartbeat = {interval = 10, timeout = 10, fail = 3}
            #dynamic_domain = {interval = 10}
            is_proxy_protocol_hello = true
        \`\`\`r;
        proxy_pass_tunnel_quic raw = r\`\`\`
            tunnel = { max_stream_size = 5, min_stream_cache_size = 50, channel_size = 64}
            ssl_domain= "www.example.cn"
            address = "www.upstream.cn:10011"
            #heartbeat = {interval = 10, timeout = 10, fail = 3}
            #dynamic_domain = {interval = 10}
            is_proxy_protocol_hello = true
        \`\`\`r;
    }
}
`;

describe('upstream { server }', () => {
  test('as it stands in the document: six transports in one group, each address a peer, in one order', async () => {
    const [one] = await upstreams(DOCUMENT);
    assert.equal(one!.name, 'upstream1');
    assert.deepEqual(one!.balancer, { kind: 'random', two: null });
    assert.deepEqual(
      one!.servers.map(({ server: name, via, addresses }) => [name, via!.hello, via!.ssl?.name, addresses.length]),
      [
        ['www.upstream.cn:10001', true, undefined, 3],
        ['tls://www.upstream.cn:10011', true, 'www.example.cn', 3],
        ['quic://www.upstream.cn:10011', true, 'www.example.cn', 3],
        ['tunnel+tcp://www.upstream.cn:10001', true, undefined, 3],
        ['tunnel+tls://www.upstream.cn:10011', true, 'www.example.cn', 3],
        ['tunnel+quic://www.upstream.cn:10011', true, 'www.example.cn', 3],
      ],
    );
    assert.deepEqual(
      one!.servers[0]!.addresses.map(({ text }) => text),
      ['192.0.2.9:10001', '192.0.2.10:10001', '[2001:db8::1]:10001'],
    );
    assert.deepEqual(one!.servers[3]!.via!.tunnel, {
      maxStreams: 5,
      startStreams: 1,
      minIdle: 50,
      channel: 64,
      wire: 'headrace',
      keys: [],
    });
    assert.equal(one!.servers[1]!.via!.ssl!.verify, false, 'any-proxy verifies nobody');
    assert.ok(one!.servers.every(({ heartbeat, resolve }) => heartbeat === undefined && !resolve));
  });

  test('what each line may say beyond that', async () => {
    const more = raw(`
      tunnel = { max_stream_size = 6, min_stream_cache_size = 0, channel_size = 32}
      ssl_domain= "www.example.cn"
      address = "www.upstream.cn:10011"
      heartbeat = {interval = 5, timeout = 2, fail = 4}
      dynamic_domain = {interval = 20}
      is_proxy_protocol_hello = false`);
    const [one] = await upstreams(group(`${plain}\nproxy_pass_tunnel_ssl ${more}`));
    const [first, last] = one!.servers;
    const { maxStreams, minIdle, channel } = last!.via!.tunnel!;
    assert.deepEqual([maxStreams, minIdle, channel, last!.via!.hello], [6, 0, 32, false]);
    const { intervalMs, timeoutMs, fails: most, type } = last!.heartbeat!;
    assert.deepEqual([intervalMs, timeoutMs, most, type], [5000, 2000, 4, 'hello']);
    assert.deepEqual(last!.lookup, { intervalMs: 20_000, timeoutMs: 10_000 });
    assert.equal(last!.resolve, true);
    assert.deepEqual([first!.heartbeat, first!.lookup, first!.resolve], [undefined, undefined, false]);
  });

  test('groups in one line', async () => {
    const line = (text: string): string => net(`${listening(1)}\nproxy_pass_upstream str = "${text}";`);
    const groups: [
      text: string,
      balancer: object,
      server: string,
      name: string | undefined,
      most: number | undefined,
    ][] = [
      ['//tcp//127.0.0.1:80', { kind: 'round_robin' }, '127.0.0.1:80', undefined, undefined],
      [
        '//ssl//www.upstream.cn:443//ip_hash',
        { kind: 'address_hash', active: false },
        'tls://www.upstream.cn:443',
        'www.upstream.cn',
        undefined,
      ],
      [
        '//tunnel//quic//www.upstream.cn:443,a.cn//fair//2,3,4',
        { kind: 'fair' },
        'tunnel+quic://www.upstream.cn:443',
        'a.cn',
        2,
      ],
    ];
    for (const [text, balancer, address, name, most] of groups) {
      const [one] = await upstreams(line(text));
      const { server: written, via } = one!.servers[0]!;
      assert.deepEqual(
        [one!.balancer, written, via!.ssl?.name, via!.tunnel?.maxStreams],
        [balancer, address, name, most],
      );
    }
    for (const text of [
      '//udp//a:1',
      '//tcp//127.0.0.1:1//best',
      '//tcp//127.0.0.1:1//fair//1,2,3',
      '//tunnel//tcp//127.0.0.1:1//fair//1,2',
    ]) {
      await fails(line(text), /must be like \/\/tcp\/\/host:port\/\/round_robin in \/t\/a\.conf:6/);
    }
  });

  test('that servers are not verified is told once', async () => {
    const { warnings } = await loaded(DOCUMENT);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /certificates of servers are not verified.* in \/t\/a\.conf:12$/);
  });

  test('balancers', async () => {
    const kinds: [string, object][] = [
      ['round_robin', { kind: 'round_robin' }],
      ['random', { kind: 'random', two: null }],
      ['ip_hash', { kind: 'address_hash', active: false }],
      ['ip_hash_active', { kind: 'address_hash', active: true }],
      ['fair', { kind: 'fair' }],
    ];
    for (const [name, balancer] of kinds) {
      const [one] = await upstreams(group(`balancer str = ${name};\n${plain}`));
      assert.deepEqual(one!.balancer, balancer, name);
    }
    const weighted = `balancer str = weight;\nproxy_pass_tcp ${raw('address = "127.0.0.1:1"\nweight = 7')}`;
    const [one] = await upstreams(group(weighted));
    assert.deepEqual([one!.balancer.kind, one!.servers[0]!.weight], ['round_robin', 7]);
    const [other] = await upstreams(group(weighted.replace('= weight', '= round_robin')));
    assert.equal(other!.servers[0]!.weight, 1, 'weights are those of "weight"');
    const [last] = await upstreams(group(`balancer = fair;\nbalancer = random;\n${plain}`));
    assert.equal(last!.balancer.kind, 'random', 'the last one counts');
    const [without] = await upstreams(group(plain));
    assert.equal(without!.balancer.kind, 'round_robin');
  });

  test('fair turns heartbeats on', async () => {
    const [one] = await upstreams(group(`${plain}\nbalancer str = fair;`));
    const { intervalMs, timeoutMs, fails: most, type } = one!.servers[0]!.heartbeat!;
    assert.deepEqual([intervalMs, timeoutMs, most, type], [10_000, 10_000, 3, 'hello']);
  });

  test('heartbeats of HTTP and of TCP', async () => {
    const toml = (heartbeat: string): string => group(`proxy_pass_tcp ${raw(`address = "127.0.0.1:1"\n${heartbeat}`)}`);
    const [http] = await upstreams(toml('heartbeat = {http = {port = 10203, uri = "/1.txt"}}'));
    const { type, port, uri, intervalMs } = http!.servers[0]!.heartbeat!;
    assert.deepEqual([type, port, uri, intervalMs], ['http', 10203, '/1.txt', 10_000]);
    const [tcp] = await upstreams(toml('heartbeat = {interval = 3, connect = true}'));
    assert.equal(tcp!.servers[0]!.heartbeat!.type, 'connect');
  });

  test('profiles of socket', async () => {
    const socket = `socket {\ntcp ${raw('[[tcp]]\ntcp_config_name = "slow"\ntcp_connect_timeout = 3')}\n}`;
    const [one] = await upstreams(
      `${group(`proxy_pass_tcp ${raw('address = "127.0.0.1:1"\ntcp = "slow"')}`)}\n${socket}`,
    );
    assert.equal(one!.servers[0]!.via!.connectTimeoutMs, 3000);
  });

  const refusals: [string, string, RegExp][] = [
    [
      'unknown block',
      'upstreams {\n}',
      /block "upstreams" is not allowed here \(did you mean "upstream"\?\) in \/t\/a\.conf:1/,
    ],
    ['a key outside', 'name = x;', /"name" is not allowed here, outside of all blocks/],
    [
      'unknown key',
      group('balance str = fair;'),
      /unknown key "balance" \(did you mean "balancer"\?\) in \/t\/a\.conf:4/,
    ],
    ['wrong type', group('balancer u8 = 1;'), /"balancer" must be of type str, not int/],
    [
      'balancer',
      group(`balancer str = least;\n${plain}`),
      /"balancer" must be one of weight, round_robin, .* not "least"/,
    ],
    ['no name', `upstream {\nserver {\n${plain}\n}\n}`, /upstream server has no "name" in \/t\/a\.conf:2/],
    ['no servers', group(''), /upstream server "u" has no proxy_pass_/],
    [
      'two of a name',
      `upstream {\n${server('u', plain)}\n${server('u', plain)}\n}`,
      /upstream server with name "u" already/,
    ],
    ['weight', group(`balancer = weight;\n${plain}`), /"weight" is missing: the balancer is "weight"/],
    ['address', group(`proxy_pass_tcp ${raw('weight = 1')}`), /"address" is missing in "proxy_pass_tcp", line 1/],
    ['no port', group(`proxy_pass_tcp ${raw('address = "a"')}`), /must be a host and a port, not "a"/],
    [
      'a name that is none',
      group(`proxy_pass_tcp ${raw('address = "no.such:1"')}`),
      /host not found in upstream "no\.such:1" in \/t\/a\.conf:4/,
    ],
    ['no ssl_domain', group(`proxy_pass_ssl ${raw('address = "127.0.0.1:1"')}`), /"ssl_domain" is missing/],
    ['no tunnel', group(`proxy_pass_tunnel_tcp ${raw('address = "127.0.0.1:1"')}`), /"tunnel" is missing/],
    [
      'tunnel2',
      group(`proxy_pass_tunnel2_tcp ${raw('')}`),
      /"proxy_pass_tunnel2_tcp" is not supported: tunnel2 is obsolete/,
    ],
    [
      'the type of a value',
      group(`proxy_pass_tcp ${raw('address = "127.0.0.1:1"\nweight = "1"')}`),
      /"weight" must be a whole number in "proxy_pass_tcp", line 3, column 1 of its TOML in \/t\/a\.conf:6/,
    ],
    [
      'a key inside of a table',
      group(`proxy_pass_tcp ${raw('address = "127.0.0.1:1" # interval\n  heartbeat = {intervall = 3}')}`),
      /unknown key "intervall" \(did you mean "interval"\?\) in "proxy_pass_tcp", line 3, column 16 of its TOML in \/t\/a\.conf:6/,
    ],
    [
      'TOML',
      group(`proxy_pass_tcp ${raw('address = ')}`),
      /invalid TOML: .* in "proxy_pass_tcp", line 2, column \d+ of its TOML in \/t\/a\.conf:5/,
    ],
  ];
  for (const [name, text, message] of refusals) test(`refused: ${name}`, () => fails(text, message));
});

describe('http { server }', () => {
  test('port mode: to a group, and to one address', async () => {
    const text = `${group(plain)}
      net {
        server {
          domain str = "www.example.cn";
          ${listening(30002)}
          local {
            proxy_pass_upstream str = "u";
          }
        }
        server {
          port_listen_tcp ${raw('address = "127.0.0.1:[30010~30012] [::1]:30010"')}
          ${plain}
        }
      }`;
    const { stream } = (await loaded(text)).config;
    assert.deepEqual(
      stream!.listens.map(({ address, servers }) => [address, servers]),
      [
        ['0.0.0.0:30002', [0]],
        ['127.0.0.1:30010', [1]],
        ['127.0.0.1:30011', [1]],
        ['127.0.0.1:30012', [1]],
        ['[::1]:30010', [1]],
      ],
    );
    const [one, two] = stream!.servers;
    assert.deepEqual(one!.handler, { kind: 'proxy', upstream: 0, variableTarget: null });
    assert.equal(one!.proxy.hello.domain, 'www.example.cn', 'what the configuration says is told to servers');
    assert.deepEqual(two!.handler, { kind: 'proxy', upstream: 1, variableTarget: null });
    assert.equal(stream!.upstreams[1]!.balancer.kind, 'round_robin');
  });

  test('domain mode: names on one address, TLS that passes through and TLS that ends here', async () => {
    const ssl = 'ssl = {key = "./cert/k.pem", cert = "./cert/c.pem"}';
    const one = (domain: string): string => `server {
      domain str = ${domain};
      domain_listen_tcp ${raw('address = "0.0.0.0:10101"')}
      domain_listen_ssl ${raw(`address = "0.0.0.0:10111"\n${ssl}`)}
      proxy_pass_upstream str = u;
    }`;
    const { stream } = (
      await loaded(`${group(plain)}\nhttp {\n${one('"a.cn b.cn"')}\n${one('$$(.*).c.cn $$(x[0-9]+).d.cn')}\n}`)
    ).config;
    assert.deepEqual(
      stream!.listens.map(({ address, ssl: secure, servers, defaultServer }) => [
        address,
        secure,
        servers,
        defaultServer,
      ]),
      [
        ['0.0.0.0:10101', false, [0, 2, 4], 4],
        ['0.0.0.0:10111', true, [1, 3, 5], 5],
      ],
    );
    const { servers } = stream!;
    assert.deepEqual(
      servers.map(({ handler, sslPreread }) => [handler.kind, sslPreread]),
      [
        ['proxy', true],
        ['proxy', false],
        ['proxy', true],
        ['proxy', false],
        ['none', true],
        ['none', false],
      ],
    );
    assert.equal(servers[5]!.ssl!.rejectHandshake, true, 'names that nobody has are refused');
    assert.deepEqual(servers[0]!.names, [
      { kind: 'exact', name: 'a.cn' },
      { kind: 'exact', name: 'b.cn' },
    ]);
    assert.deepEqual(servers[2]!.names, [
      { kind: 'suffix', name: '.c.cn' },
      { kind: 'regex', regex: { pattern: String.raw`^(?:x[0-9]+)\.d\.cn$`, caseless: false } },
    ]);
  });

  test('a server of $$(.*) is the default', async () => {
    const one = (domain: string): string =>
      `server {\ndomain str = ${domain};\ndomain_listen_tcp ${raw('address = "0.0.0.0:1"')}\n${plain}\n}`;
    const { stream } = (await loaded(`http {\n${one('a.cn')}\n${one('$$(.*)')}\n}`)).config;
    assert.deepEqual([stream!.servers.length, stream!.listens[0]!.defaultServer], [2, 1]);
  });

  test('settings: inherited from http, and set back by a server', async () => {
    const text = `http {
      is_proxy_protocol_hello bool = true;
      download_limit_rate u64 = 100k;
      stream_cache_size usize = 8192;
      ip_allow str = 127.0.0.1;
      ip_deny str = all;
      hello_from strs = 10.0.0.0/8 127.0.0.1;
      close_type str = "shutdown";
      server {
        ${listening(1)}
        ${plain}
      }
      server {
        is_proxy_protocol_hello bool = false;
        ip_allow str = all;
        ${listening(2)}
        local {
          download_limit_rate u64 = 0;
          ${plain}
        }
      }
    }`;
    const [one, two] = (await loaded(text)).config.stream!.servers;
    assert.deepEqual([one!.proxy.hello.on, two!.proxy.hello.on], [true, false]);
    assert.deepEqual([one!.proxy.downloadRate, two!.proxy.downloadRate], ['102400', '0']);
    assert.deepEqual([one!.proxy.bufferSize, one!.proxy.halfClose], [8192, true]);
    assert.deepEqual(one!.access.length, 2);
    assert.deepEqual(two!.access, [{ deny: false, network: 'all' }]);
    assert.deepEqual(one!.readHello!.from, ['10.0.0.0/8', '127.0.0.1/32']);
  });

  test('HTTP servers: a group, names, QUIC handed on', async () => {
    const ssl = 'ssl = {key = "./cert/k.pem", cert = "./cert/c.pem"}';
    const text = `${group(`proxy_pass_ssl ${raw('address = "127.0.0.1:1"\nssl_domain = "x"\nis_proxy_protocol_hello = true')}`)}
      http {
        server {
          domain str = a.cn;
          http_server_proxy ${raw('proxy_pass = {version = "http2.0"}')}
          domain_listen_tcp ${raw('address = "0.0.0.0:80"')}
          domain_listen_quic ${raw(`address = "0.0.0.0:443"\n${ssl}`)}
          ip_deny str = 192.0.2.1;
          proxy_pass_upstream str = u;
        }
        server {
          ${listening(81)}
          ${plain}
        }
      }`;
    const { config, warnings } = await loaded(text);
    const { http, stream } = config;
    assert.deepEqual(
      http!.listens.map(({ address, servers, defaultServer }) => [address, servers, defaultServer]),
      [['0.0.0.0:80', [0, 1], 1]],
    );
    const [location] = http!.servers[0]!.root.locations;
    assert.deepEqual([location!.handler.kind, location!.proxy.httpVersion, location!.access.length], ['proxy', '2', 1]);
    assert.deepEqual(http!.upstreams[0]!.servers[0]!.server, 'tls://127.0.0.1:1');
    assert.ok(warnings.some((one) => one.includes('"is_proxy_protocol_hello" has no effect on HTTP')));
    assert.deepEqual(
      stream!.servers.map(({ handler }) => handler.kind),
      ['pass', 'proxy'],
    );
    assert.deepEqual(
      stream!.upstreams.map(({ name }) => name),
      ['proxy_pass_tcp.1'],
    );
  });

  test('common', async () => {
    const common = 'common {\nworker_threads usize = 2;\nmax_connections i32 = 1000;\nshutdown_timeout u64 = 5;\n}';
    const { main } = (await loaded(common)).config;
    assert.deepEqual(
      [main.workerProcesses, main.workerConnections, main.workerShutdownTimeoutMs, main.daemon, main.pidFile],
      [2, 500, 5000, false, '/t/logs/anyproxy.pid'],
    );
    assert.equal((await loaded('')).config.main.workerProcesses, 4);
  });

  test('what has no effect is told of, when it asks for something', async () => {
    const text = 'common {\ncpu_affinity bool = true;\nreuseport bool = true;\nmax_open_file_limit u64 = 0;\n}';
    assert.deepEqual((await loaded(text)).warnings, ['"cpu_affinity" has no effect here in /t/a.conf:2']);
  });

  test('access logs: any-proxy’s variables in Headrace’s', async () => {
    const access = raw(
      '[[access]]\naccess_log_file = "./logs/a.log"\naccess_format = "${client_ip} ${ebpf} $ ${status}"',
    );
    const { config, warnings } = await loaded(net(`access ${access}\n${listening(1)}\n${plain}`));
    const [format] = config.stream!.logFormats.filter(({ name }) => name.startsWith('anyproxy'));
    assert.equal(format!.parts, '${remote_addr} -  ${status}');
    assert.match(warnings[0]!, /there is nothing for ebpf/);
    assert.deepEqual(config.stream!.servers[0]!.log.access[0]!.target, { kind: 'file', path: '/t/logs/a.log' });
  });

  const refusals: [string, string, RegExp][] = [
    ['no listener', net(plain), /server has no port_listen_… and no domain_listen_…/],
    [
      'both modes',
      net(`${listening(1)}\ndomain_listen_tcp ${raw('address = "0.0.0.0:2"')}\n${plain}`),
      /by ports or by domains, not both/,
    ],
    ['no domain', net(`domain_listen_tcp ${raw('address = "0.0.0.0:2"')}\n${plain}`), /"domain" is missing/],
    ['no target', net(listening(1)), /server has no proxy_pass_…/],
    ['two targets', net(`${listening(1)}\n${plain}\n${plain}`), /there is "proxy_pass_tcp" already/],
    [
      'unknown upstream',
      net(`${listening(1)}\nproxy_pass_upstream str = v;`),
      /there is no upstream server with name "v"/,
    ],
    [
      'an address twice',
      net(`${listening(1)}\n${listening(1)}\n${plain}`),
      /"0\.0\.0\.0:1" is listened to by another server already, in \/t\/a\.conf:3/,
    ],
    [
      'address',
      net(`port_listen_tcp ${raw('address = "1.2.3.4"')}\n${plain}`),
      /"1\.2\.3\.4" must be an address and a port/,
    ],
    ['no certificate', net(`port_listen_ssl ${raw('address = "0.0.0.0:1"')}\n${plain}`), /"ssl" is missing/],
    [
      'a certificate that is not there',
      net(`port_listen_ssl ${raw('address = "0.0.0.0:1"\nssl = {key = "k", cert = "c"}')}\n${plain}`),
      /cannot load certificate "\/t\/c".* in \/t\/a\.conf:3/,
    ],
    ['HTTP without content', net(`net_server_http ${raw('')}\n${listening(1)}`), /the HTTP server has no content/],
    [
      'HTTP without a group',
      net(`http_server_proxy ${raw('')}\n${listening(1)}`),
      /"http_server_proxy" needs a proxy_pass_…/,
    ],
    [
      'two contents',
      net(`http_server_echo ${raw('body = "x"')}\nhttp_server_static ${raw('path = "x"')}\n${listening(1)}`),
      /"http_server_static" and "http_server_echo" exclude each other/,
    ],
    [
      'a version',
      net(`http_server_proxy ${raw('proxy_pass = {version = "http3"}')}\n${listening(1)}\n${plain}`),
      /"version" must be one of http1\.1, http2\.0, auto in "http_server_proxy", line 2, column 1/,
    ],
    ['caches', net(`proxy_cache ${raw('')}`), /"proxy_cache" is not supported: that is for an nginx\.conf to say/],
    [
      'rules',
      net(`${listening(1)}\nlocal {\nrule ${raw('[[rule]]\ndata = "x"\nfilter = "y"')}\n${plain}\n}`),
      /"rule" is not supported/,
    ],
    ['a bool', net('is_proxy_protocol_hello bool = yes;'), /must be true or false, not "yes"/],
    ['a level', 'http {\ndomain str = a;\n}', /"domain" is not allowed here/],
  ];
  for (const [name, text, message] of refusals) test(`refused: ${name}`, () => fails(text, message));
});
