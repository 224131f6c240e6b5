/** Routes of TCP, TLS and UDP: what fits, and which of several. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KongRoute } from '../../../src/config/kong/model.ts';
import { parseAddress } from '../../../src/net/networks.ts';
import { type RoutedSession, StreamRouter } from '../../../src/stream/kong/router.ts';

let made = 0;
const route = (name: string, more: Partial<KongRoute>): KongRoute => ({
  id: name,
  name,
  createdAt: ++made,
  protocols: ['tcp'],
  methods: [],
  hosts: [],
  paths: [],
  headers: [],
  snis: [],
  sources: [],
  destinations: [],
  stripPath: true,
  preserveHost: false,
  regexPriority: 0,
  pathHandling: 'v0',
  httpsRedirectStatusCode: 426,
  requestBuffering: true,
  responseBuffering: true,
  service: null,
  ...more,
});

const session = (source: string, destination: string, more: Partial<RoutedSession> = {}): RoutedSession => ({
  udp: false,
  tls: false,
  serverName: '',
  source: parseAddress(source)!,
  destination: parseAddress(destination)!,
  ...more,
});

const tls = { tls: true, serverName: 'a.test' };

test('addresses, networks and ports, of both ends', () => {
  const router = new StreamRouter([
    route('network', { sources: [{ ip: '10.1.0.0/16', port: null }] }),
    route('address and port', { sources: [{ ip: '10.2.0.1', port: 77 }] }),
    route('ports', {
      destinations: [
        { ip: null, port: 1 },
        { ip: null, port: 2 },
      ],
    }),
    route('v6', { sources: [{ ip: '2001:db8::/32', port: null }] }),
    route('http', { protocols: ['http'] }),
  ]);
  assert.equal(router.size, 4);
  const rows: [source: string, destination: string, name: string | undefined][] = [
    ['10.1.2.3:5', '9.9.9.9:9', 'network'],
    ['10.2.0.1:77', '9.9.9.9:9', 'address and port'],
    ['10.2.0.1:78', '9.9.9.9:9', undefined],
    ['1.1.1.1:5', '9.9.9.9:2', 'ports'],
    ['1.1.1.1:5', '9.9.9.9:3', undefined],
    ['[2001:db8::1]:5', '[::1]:3', 'v6'],
  ];
  for (const [source, destination, name] of rows) {
    assert.equal(router.find(session(source, destination))?.name, name, `${source} to ${destination}`);
  }
});

test('more kinds of conditions, then names before sources before destinations, then the older one', () => {
  const all = [{ ip: '0.0.0.0/0', port: null }];
  const rows: KongRoute[] = [
    route('destination', { protocols: ['tls'], destinations: all }),
    route('source', { protocols: ['tls'], sources: all }),
    route('name', { protocols: ['tls'], snis: ['a.test'] }),
    route('source and destination', { protocols: ['tls'], sources: all, destinations: all }),
    route('name and source', { protocols: ['tls'], snis: ['a.test'], sources: all }),
    route('the same, later', { protocols: ['tls'], snis: ['a.test'], sources: all }),
  ];
  const order: string[] = [];
  let left = rows;
  while (left.length > 0) {
    const found = new StreamRouter(left.toReversed()).find(session('1.1.1.1:1', '2.2.2.2:2', tls));
    order.push(found?.name ?? 'none');
    left = left.filter(({ name }) => name !== found?.name);
  }
  assert.deepEqual(order, [
    'name and source',
    'the same, later',
    'source and destination',
    'name',
    'source',
    'destination',
  ]);
});

test('protocols: TCP, UDP, and TLS that ends here or goes through', () => {
  const any = [{ ip: '0.0.0.0/0', port: null }];
  const find = (protocols: KongRoute['protocols'], more: Partial<RoutedSession>): boolean =>
    new StreamRouter([route('r', { protocols, sources: any })]).find(session('1.1.1.1:1', '2.2.2.2:2', more)) !== null;
  const speaks = { tcp: {}, udp: { udp: true }, tls };
  const rows: [protocols: KongRoute['protocols'], fits: (keyof typeof speaks)[]][] = [
    [['tcp'], ['tcp']],
    [['udp'], ['udp']],
    [['tls'], ['tls']],
    [['tls_passthrough'], ['tls']],
    [
      ['tcp', 'tls', 'udp'],
      ['tcp', 'udp', 'tls'],
    ],
  ];
  for (const [protocols, fits] of rows) {
    for (const name of ['tcp', 'udp', 'tls'] as const) {
      assert.equal(find(protocols, speaks[name]), fits.includes(name), `${protocols.join()} with ${name}`);
    }
  }
});
