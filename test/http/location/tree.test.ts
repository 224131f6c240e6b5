import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Location } from '../../../src/http/runtime.ts';
import type { HttpRequest } from '../../../src/http/request.ts';
import { LocationTree } from '../../../src/http/server/location-tree.ts';
import type { LocationMatch } from '../../../src/config/model.ts';
import { Site } from '../variables/site.ts';

test('exact, longest prefix, ^~, regular expressions in order, nested ones first', async () => {
  const site = await Site.server(`
    location / { return 200 root; }
    location = /exact { return 200 exact; }
    location = /exact/ { return 200 exactslash; }
    location /pre { return 200 pre; }
    location /pre/fix { return 200 prefix; }
    location ^~ /plain/ { return 200 plain; }
    location ~ \\.css$ { return 200 css; }
    location ~* \\.PHP$ { return 200 "php $uri"; }
    location ~ ^/re/(?<r1>[^/]+)/(.*)$ { return 200 "r1=$r1 $2"; }
    location ~ ^/re { return 200 re2; }
    location /nest {
      return 200 nest;
      location /nest/a { return 200 nesta; location ~ \\.x$ { return 200 nestax; } }
      location ~ \\.x$ { return 200 nestx; }
      location = /nest/eq { return 200 nesteq; }
    }
    location ~ ^/rn/ { location ~ ^/rn/(.*)\\.y$ { return 200 "rny $1"; } return 200 rn; }`);
  const cases: Record<string, string> = {
    '/': 'root',
    '/exact': 'exact',
    '/exact/': 'exactslash',
    '/exact/x': 'root',
    '/pre': 'pre',
    '/prefix': 'pre',
    '/pre/fix': 'prefix',
    '/pre/fixx': 'prefix',
    '/plain/a.css': 'plain',
    '/plain': 'root',
    '/x.css': 'css',
    '/a.php': 'php /a.php',
    '/pre/a.css': 'css',
    '/exact.css': 'css',
    '/re/a/b': 'r1=a b',
    '/re/a': 're2',
    '/rex': 're2',
    '/nest': 'nest',
    '/nest/a': 'nesta',
    '/nest/a/b.x': 'nestax',
    '/nest/q.x': 'nestx',
    '/nest/eq': 'nesteq',
    '/nest/a.css': 'css',
    '/rn/q': 'rn',
    '/rn/z.y': 'rny z',
    '/PRE': 'root',
  };
  for (const [uri, expected] of Object.entries(cases)) assert.equal(await site.body(uri), expected, uri);
});

test('a missing final slash of a location that proxies is redirected', async () => {
  const site = await Site.server(`
    location /auto/ { proxy_pass http://$host/; }
    location "/sp ace/" { proxy_pass http://$host/; }
    location /both { return 200 both; }
    location /both/ { proxy_pass http://$host/; }
    location = /eq { return 200 eq; }
    location /eq/ { proxy_pass http://$host/; }
    location /files/ { root /nowhere; }
    location ~ ^/auto$ { return 200 regex; }`);
  const redirected: [string, string][] = [
    ['/auto', 'http://first.test:8080/auto/'],
    ['/auto?x=1', 'http://first.test:8080/auto/?x=1'],
    ['/sp%20ace', 'http://first.test:8080/sp%20ace/'],
  ];
  for (const [target, location] of redirected) {
    const answer = await site.ask(target);
    assert.deepEqual([answer.status, answer.field('location')], [301, location]);
  }
  assert.equal(await site.body('/both'), 'both');
  assert.equal(await site.body('/eq'), 'eq');
  assert.equal((await site.ask('/files')).status, 404);
  assert.equal((await site.ask('/aut')).status, 404);
});

const NO_SLOTS = { indexOf: () => 0 };
const NO_REQUEST = { captures: null, vars: null } as unknown as HttpRequest;

/** A location as far as the tree looks at it. */
function location(match: LocationMatch, name: string): Location {
  return { config: { match, name, handler: { kind: 'static' } }, locations: null } as unknown as Location;
}

/** nginx's rules in words. */
function plainFind(locations: Location[], uri: string): Location | string | null {
  const of = (test: (path: string, match: LocationMatch) => boolean) =>
    locations.filter(({ config }) => 'path' in config.match && test(config.match.path, config.match));
  const exact = of((path, m) => m.kind === 'exact' && path === uri)[0];
  if (exact !== undefined) return exact;
  const prefixes = of((path, m) => m.kind === 'prefix' && uri.startsWith(path));
  const longest = prefixes.toSorted((a, b) => b.config.name.length - a.config.name.length)[0] ?? null;
  if (longest?.config.name !== uri) {
    const slash = of((path, m) => m.kind === 'prefix' && m.autoRedirect && path === `${uri}/`)[0];
    if (slash !== undefined) return slash.config.name;
  }
  return longest;
}

test('the tree finds what the plain rules find', () => {
  const path = fc
    .array(fc.constantFrom('a', 'b', '/', 'ab', 'abc'), { maxLength: 6 })
    .map((parts) => `/${parts.join('')}`);
  const kind = fc.constantFrom('exact', 'prefix', 'auto');
  fc.assert(
    fc.property(fc.array(fc.tuple(path, kind), { maxLength: 25 }), fc.array(path, { minLength: 5 }), (specs, uris) => {
      const seen = new Set<string>();
      const locations: Location[] = [];
      for (const [p, k] of specs) {
        const auto = k === 'auto' && p.endsWith('/');
        const key = `${k === 'exact' ? '=' : ''}${p}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const match: LocationMatch =
          k === 'exact' ? { kind: 'exact', path: p } : { kind: 'prefix', path: p, noRegex: false, autoRedirect: auto };
        locations.push(location(match, p));
      }
      const tree = new LocationTree(locations, NO_SLOTS);
      for (const uri of [...uris, ...uris.map((u) => u.slice(0, -1) || '/')]) {
        assert.equal(tree.find(uri, NO_REQUEST), plainFind(locations, uri), uri);
      }
    }),
    { numRuns: 1000 },
  );
});

test('hundreds of locations cost what their names cost', () => {
  const locations = Array.from({ length: 2000 }, (_, i) =>
    location({ kind: 'prefix', path: `/app${i}/`, noRegex: false, autoRedirect: false }, `/app${i}/`),
  );
  const tree = new LocationTree(locations, NO_SLOTS);
  for (const i of [0, 1, 19, 199, 1999]) assert.equal(tree.find(`/app${i}/x`, NO_REQUEST), locations[i]);
  assert.equal(tree.find('/app2000/x', NO_REQUEST), null);
});
