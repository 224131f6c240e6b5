/** Conditions of `match`, and what they refuse to be. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadNginxConfig } from '../../src/config/nginx/load.ts';
import { healthRequest, servingStatus } from '../../src/health/grpc-probe.ts';
import { compileMatch, GOOD_STATUS, type Answer } from '../../src/health/match.ts';

async function load(http: string): Promise<Awaited<ReturnType<typeof loadNginxConfig>>['config']> {
  const text = `events {} http { ${http} }`;
  const options = { prefix: '/p/', file: '/p/c', globals: '', cpuCount: 1, superUser: false, lookup: () => [] };
  return (await loadNginxConfig({ ...options, readFile: () => text })).config;
}

const refusal = async (http: string): Promise<string> =>
  load(http).then(
    () => 'accepted',
    (error: Error) => error.message.replace(/ in \/p\/c:1$/, ''),
  );

function answer(
  status: number,
  fields: Record<string, string> = {},
  body = '',
  variables: Record<string, string> = {},
): Answer {
  return {
    status,
    header: (name) => fields[name.toLowerCase()] ?? null,
    body: () => body,
    variable: (name) => variables[name] ?? '',
  };
}

describe('match', () => {
  it('statuses, ranges and their negation', async () => {
    const { http } = await load(`match a { status 200 301-303; } match b { status ! 500 400-404; }`);
    const [a, b] = http!.matches!.map(compileMatch);
    const good = (matcher: typeof a, status: number): boolean => matcher!.all(answer(status)) === null;
    assert.deepEqual(
      [200, 201, 301, 302, 303, 304].map((s) => good(a, s)),
      [true, false, true, true, true, false],
    );
    assert.deepEqual(
      [200, 500, 399, 400, 404, 405].map((s) => good(b, s)),
      [true, false, true, false, false, true],
    );
    assert.deepEqual(
      [199, 200, 399, 400].map((s) => GOOD_STATUS.all(answer(s)) === null),
      [false, true, true, false],
    );
  });

  it('fields: present, absent, equal, by expression', async () => {
    const holds = async (condition: string, fields: Record<string, string>): Promise<boolean> => {
      const { http } = await load(`match a { header ${condition}; }`);
      return compileMatch(http!.matches![0]!).all(answer(200, fields)) === null;
    };
    const cases: [condition: string, with_: boolean, other: boolean, without: boolean][] = [
      ['X-A', true, true, false],
      ['! X-A', false, false, true],
      ['X-A = one', true, false, false],
      ['X-A != one', false, true, true],
      ['X-A ~ "^o"', true, false, false],
      ['X-A !~ "^o"', false, true, true],
    ];
    for (const [condition, one, two, none] of cases) {
      const seen = [{ 'x-a': 'one' }, { 'x-a': 'two' }, {}].map(async (fields) => holds(condition, fields as never));
      assert.deepEqual(await Promise.all(seen), [one, two, none], condition);
    }
  });

  it('body and variables, all of them together', async () => {
    const { http } = await load('match a { status 200; body !~ "error"; require $upstream_status $upstream_http_x; }');
    const matcher = compileMatch(http!.matches![0]!);
    const variables = { upstream_status: '200', upstream_http_x: 'y' };
    assert.equal(matcher.needsBody, true);
    assert.equal(matcher.all(answer(200, {}, 'fine', variables)), null);
    assert.equal(matcher.all(answer(200, {}, 'an error', variables)), 'checking body');
    assert.equal(matcher.all(answer(201, {}, 'an error', variables)), 'checking status code');
    for (const bad of ['', '0']) {
      assert.equal(matcher.all(answer(200, {}, '', { ...variables, upstream_http_x: bad })), 'checking variables');
    }
  });

  it('refuses with a reason', async () => {
    const conditions: Record<string, string> = {
      'status 99;': 'invalid status "99", it must be like 200 or 200-399',
      'status 300-200;': 'invalid status "300-200", it must be like 200 or 200-399',
      'status;': 'no codes in the "status" condition',
      'status 200; status 201;': 'duplicate "status" condition',
      'header X <> y;': 'invalid operator "<>" in the "header" condition, it must be "=", "!=", "~" or "!~"',
      'body = x;': 'invalid operator "=" in the "body" condition, it must be "~" or "!~"',
      'require x;': 'invalid variable name "x"',
      'foo;': 'unknown match condition "foo", it must be "status", "header", "body" or "require"',
    };
    for (const [text, wanted] of Object.entries(conditions)) assert.equal(await refusal(`match a { ${text} }`), wanted);
    assert.equal(await refusal('match a {} match a {}'), '"match" directive "a" is duplicate');
  });
});

describe('health_check', () => {
  const location = (check: string, zone = 'zone z 64k;', pass = 'proxy_pass http://u;'): string =>
    `upstream u { server 127.0.0.1; ${zone} } server { location / { ${pass} health_check ${check}; } }`;

  it('takes its parameters; without any it has defaults', async () => {
    const checkOf = async (text: string): Promise<unknown> => {
      const { place: _, ...check } = (await load(location(text))).http!.servers[0]!.root.locations[0]!
        .healthChecks![0]!;
      return check;
    };
    const defaults = {
      intervalMs: 5000,
      jitterMs: 0,
      fails: 1,
      passes: 1,
      uri: '/',
      port: null,
      match: null,
      mandatory: false,
      persistent: false,
      keepaliveTimeMs: 0,
      type: 'http',
      grpcService: '',
      grpcStatus: null,
    };
    assert.deepEqual(await checkOf(''), defaults);
    assert.deepEqual(
      await checkOf(
        'interval=500ms jitter=1s fails=2 passes=3 uri=/x?y port=8080 mandatory persistent keepalive_time=1m',
      ),
      {
        ...defaults,
        intervalMs: 500,
        jitterMs: 1000,
        fails: 2,
        passes: 3,
        uri: '/x?y',
        port: 8080,
        mandatory: true,
        persistent: true,
        keepaliveTimeMs: 60_000,
      },
    );
    const grpc = { ...defaults, type: 'grpc', grpcService: 'a.B', grpcStatus: 12 };
    assert.deepEqual(await checkOf('type=grpc grpc_service=a.B grpc_status=12'), grpc);
  });

  it('refuses with a reason', async () => {
    const parameters: Record<string, string> = {
      'interval=0': 'invalid parameter "interval=0"',
      'fails=0': 'invalid parameter "fails=0"',
      'port=70000': 'invalid parameter "port=70000"',
      'uri=x': 'invalid parameter "uri=x"',
      'match=nobody': 'unknown match "nobody"',
      persistent: '"persistent" requires "mandatory"',
      'type=tcp': 'invalid parameter "type=tcp", the type must be "grpc"',
      'grpc_status=1': '"grpc_status" requires "type=grpc" before it',
      'uri=/ type=grpc': '"type=grpc" cannot be used together with "uri" or "match"',
      'fails=1 fails=2': 'duplicate parameter "fails=2"',
      foo: 'invalid parameter "foo"',
    };
    for (const [text, wanted] of Object.entries(parameters)) assert.equal(await refusal(location(text)), wanted);
    assert.match(await refusal(location('', '')), /^health checks require upstream "u" in .* to be in shared memory/);
    assert.match(await refusal(location('', 'zone z 64k;', '')), /^"health_check" needs a location that passes/);
    const cgi = await refusal(location('type=grpc', 'zone z 64k;', 'fastcgi_pass u;'));
    assert.match(cgi, /^"type=grpc" of "health_check" needs "grpc_pass" or "proxy_pass"/);
    const tunnel = await refusal(location('', 'zone z 64k;', 'tunnel_pass u;'));
    assert.match(tunnel, /^"health_check" cannot be in a location with "tunnel_pass"/);
    const grpc = await refusal(location('', 'zone z 64k;', 'grpc_pass u;'));
    assert.match(grpc, /needs "type=grpc"/);
  });
});

describe('gRPC health messages', () => {
  it('are composed and read', () => {
    assert.equal(healthRequest('').toString('hex'), '0000000000');
    assert.equal(healthRequest('ab').toString('hex'), '00000000040a026162');
    const message = (...bytes: number[]): Buffer => Buffer.from([0, 0, 0, 0, bytes.length, ...bytes]);
    assert.equal(servingStatus(message(8, 1)), 1);
    assert.equal(servingStatus(message()), 0);
    assert.equal(servingStatus(message(0x12, 2, 65, 66, 8, 2)), 2);
    for (const bad of [Buffer.alloc(0), Buffer.from([1, 0, 0, 0, 0]), message(8), message(0x0d, 1)]) {
      assert.equal(servingStatus(bad), -1);
    }
  });
});
