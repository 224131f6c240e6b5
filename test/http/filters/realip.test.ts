import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { compileRealip } from '../../../src/http/server/realip.ts';
import { NetworkList, parseAddress } from '../../../src/net/networks.ts';
import type { HttpRequest } from '../../../src/http/request.ts';
import { LOCAL, Site } from '../variables/site.ts';

const TRUST = 'set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::/32;';
const SHOW = 'return 200 "$remote_addr:$remote_port $realip_remote_addr:$realip_remote_port";';

test('addresses as proxies write them', () => {
  const cases: [string, string | null][] = [
    ['1.2.3.4', '1.2.3.4 0'],
    ['1.2.3.4:5', '1.2.3.4 5'],
    ['::1', '::1 0'],
    ['[::1]', '::1 0'],
    ['[2001:DB8::5]:80', '2001:db8::5 80'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4 0'],
    ['bogus', null],
    ['', null],
    ['1.2.3', null],
    ['1.2.3.256', null],
    ['1.2.3.4:0', null],
    ['1.2.3.4:65536', null],
    ['1.2.3.4:x', null],
    ['[::1', null],
    ['[::1]x', null],
    ['1.2.3.4 ', null],
    ['unix:', null],
  ];
  for (const [text, expected] of cases) {
    const address = parseAddress(text);
    assert.equal(address === null ? null : `${address.text} ${address.port}`, expected, text);
  }
});

test('networks: every length of prefix, mapped addresses, unix sockets', () => {
  const byte = fc.nat(255);
  fc.assert(
    fc.property(
      fc.array(byte, { minLength: 4, maxLength: 4 }),
      fc.array(byte, { minLength: 4, maxLength: 4 }),
      fc.nat(32),
      (a, b, bits) => {
        const number = (bytes: number[]) => bytes.reduce((sum, x) => sum * 256 + x, 0);
        const scale = 2 ** (32 - bits);
        const expected = Math.floor(number(a) / scale) === Math.floor(number(b) / scale);
        if (a.every((x) => x === 255)) return;
        const list = new NetworkList([`${a.join('.')}/${bits}`]);
        assert.equal(list.has(Uint8Array.from(b)), expected);
        assert.equal(list.has(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...b])), expected);
      },
    ),
  );
  const v6 = new NetworkList(['2001:db8::/33']);
  assert.equal(v6.has(parseAddress('2001:db8:7fff::1')!.bytes), true);
  assert.equal(v6.has(parseAddress('2001:db8:8000::1')!.bytes), false);
  assert.equal(new NetworkList(['unix:']).has(new Uint8Array(0)), true);
  assert.equal(v6.has(new Uint8Array(0)), false);
});

test('X-Real-IP, a field of any name, and who may set them', async () => {
  const site = await Site.of(`
    server { listen 127.0.0.1:8080; server_name first.test; ${TRUST} location / { ${SHOW} } }
    server { listen 127.0.0.1:8080; server_name custom.test; ${TRUST} real_ip_header X-Who; location / { ${SHOW} } }
    server { listen 127.0.0.1:8080; server_name none.test; location / { ${SHOW} } }`);
  const real = (value: string, host = 'first.test', name = 'X-Real-IP') =>
    site.body('/', { host, headers: [`${name}: ${value}`] });
  assert.equal(await real('1.2.3.4'), '1.2.3.4: 127.0.0.1:40000');
  assert.equal(await real('1.2.3.4:5'), '1.2.3.4:5 127.0.0.1:40000');
  assert.equal(await real('bogus'), '127.0.0.1:40000 127.0.0.1:40000');
  assert.equal(await real('::2', 'custom.test', 'x-wHo'), '::2: 127.0.0.1:40000');
  assert.equal(await real('1.2.3.4', 'none.test'), '127.0.0.1:40000 127.0.0.1:40000');
  const peer = { text: '192.0.2.9', port: 1, bytes: Uint8Array.from([192, 0, 2, 9]) };
  assert.equal(await site.body('/', { headers: ['X-Real-IP: 1.2.3.4'], peer }), '192.0.2.9:1 192.0.2.9:1');
});

test('X-Forwarded-For: the last address, or the last that is not trusted; several fields are one list', async () => {
  const server = (name: string, more: string) =>
    `server { listen 127.0.0.1:8080; server_name ${name}; ${TRUST} real_ip_header X-Forwarded-For; ${more} location / { return 200 $remote_addr; } }`;
  const site = await Site.of(`${server('first.test', '')} ${server('rec.test', 'real_ip_recursive on;')}`);
  const cases: [string[], string, string][] = [
    [['1.1.1.1, 10.0.0.1'], '10.0.0.1', '1.1.1.1'],
    [['1.1.1.1', '10.0.0.1'], '10.0.0.1', '1.1.1.1'],
    [['1.1.1.1,10.0.0.1 ,'], '10.0.0.1', '1.1.1.1'],
    [['9.9.9.9, 10.0.0.2', '10.0.0.1'], '10.0.0.1', '9.9.9.9'],
    [['8.8.8.8, 9.9.9.9, 10.0.0.2'], '10.0.0.2', '9.9.9.9'],
    [['bogus, 10.0.0.1'], '10.0.0.1', '10.0.0.1'],
    [['10.0.0.3', '10.0.0.2'], '10.0.0.2', '10.0.0.3'],
    [['8.8.8.8 10.0.0.1'], '10.0.0.1', '8.8.8.8'],
    [['2001:db8::1, [2001:db8::2]:80'], '2001:db8::2', '2001:db8::1'],
    [[''], '127.0.0.1', '127.0.0.1'],
    [['junk'], '127.0.0.1', '127.0.0.1'],
    [[], '127.0.0.1', '127.0.0.1'],
  ];
  for (const [lines, last, recursive] of cases) {
    const headers = lines.map((line) => `X-Forwarded-For: ${line}`);
    assert.equal(await site.body('/', { headers }), last, lines.join('|'));
    assert.equal(await site.body('/', { headers, host: 'rec.test' }), recursive, lines.join('|'));
  }
});

test('the PROXY protocol as source, with its port; once a request', () => {
  const realip = compileRealip({ from: ['127.0.0.1/32'], header: 'proxy_protocol', recursive: false })!;
  const proxyProtocol = {
    sourceAddress: '192.0.2.1',
    sourcePort: 99,
    destinationAddress: '',
    destinationPort: 0,
    tlv: () => null,
  };
  const channel = { peer: LOCAL, proxyProtocol };
  const r = { client: LOCAL, channel } as unknown as HttpRequest;
  realip(r);
  assert.deepEqual([r.client.text, r.client.port], ['192.0.2.1', 99]);
  const taken = r.client;
  realip(r);
  assert.equal(r.client, taken);
  assert.equal(compileRealip({ from: [], header: 'x-real-ip', recursive: false }), null);
});
