/**
 * Two clients say the same of every answer: the one for plain HTTP/1, and the one that goes over the channels of requests.
 * Answers are put together at random, well and badly, and cut into pieces at random.
 */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { compileMatch, GOOD_STATUS, type Matcher } from '../../../src/health/match.ts';
import type { Probe, ProbeOutcome } from '../../../src/health/probe.ts';
import { HttpProbeKind } from '../../../src/http/health/http-probe.ts';
import { PlainProbeKind } from '../../../src/http/health/plain-probe.ts';
import type { ProbeRequest } from '../../../src/http/health/probe-request.ts';
import { openUpstream } from '../../../src/http/proxy/dial.ts';
import { Http1Upstream } from '../../../src/http/proxy/http1-upstream.ts';
import type { UpstreamPlan } from '../../../src/http/proxy/upstream-plan.ts';
import type { Output } from '../../../src/net/output.ts';
import { suiteScope } from '../../helpers/wait.ts';

const scope = suiteScope(after);
const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n');

/** Sends its answer piece by piece, and ends if it is to. */
let answer: { pieces: string[]; ends: boolean } = { pieces: [], ends: true };
const sockets = new Set<Socket>();
const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.once('close', () => sockets.delete(socket));
  socket.on('data', () => {
    const { pieces, ends } = answer;
    const rest = [...pieces];
    const next = (): void => {
      const piece = rest.shift();
      if (piece !== undefined) socket.write(piece, 'latin1', () => setImmediate(next));
      else if (ends) socket.end();
    };
    next();
  });
});
scope.after(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

const BODY: Matcher = compileMatch({
  name: 'm',
  place: { file: '', line: 0 },
  status: { negate: false, ranges: [[200, 299]] },
  headers: [{ name: 'X-State', test: 'equal', negate: true, value: 'bad' }],
  body: { negate: false, regex: { pattern: '^ok', caseless: false } },
  require: [],
});

function both(port: number, matcher: Matcher, keepaliveTimeMs: number): Probe[] {
  const common = {
    matcher,
    keepaliveTimeMs,
    connectTimeoutMs: 20_000,
    sendTimeoutMs: 20_000,
    readTimeoutMs: 20_000,
    headLimit: 1024,
    variable: () => '',
  };
  // what of a plan a plain connection needs
  const plan = {
    tls: null,
    bind: null,
    group: null,
    config: { socketKeepalive: false },
    refuse: () => null,
    compose: (o: Output) => o.bytes(REQUEST, 0, REQUEST.length),
    newChannel: () => new Http1Upstream(),
    open: (...[r, , peer, opened, failed]: Parameters<UpstreamPlan['open']>) =>
      openUpstream(r, plan, plan, peer, opened, failed),
  } as unknown as UpstreamPlan;
  const request = { r: {}, begin() {} } as unknown as ProbeRequest;
  const target = { address: 'x', family: 4, host: '127.0.0.1', port, server: '' } as const;
  return [
    new PlainProbeKind({ ...common, request: () => REQUEST, localAddress: () => null }),
    new HttpProbeKind({ ...common, plan, request }),
  ].map((kind) => kind.open(target));
}

const ask = (probe: Probe): Promise<ProbeOutcome> => new Promise((resolve) => probe.run(resolve));

const body = fc.constantFrom('', 'ok', 'okay', 'no', 'o');
const field = fc.constantFrom(
  'X-State: bad',
  'X-State: good',
  'Connection: close',
  'Connection: keep-alive',
  'Content-Length: 2',
  'Content-Length: 5',
  'Content-Length: 02',
  'Content-Length: -1',
  'Content-Length: x',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Bad Name: x',
  ': x',
  `X: ${'x'.repeat(1100)}`,
);
const chunks = fc.constantFrom(
  '',
  '2\r\nok\r\n0\r\n\r\n',
  '1\r\no\r\n3\r\nkay\r\n0\r\nX: y\r\n\r\n',
  '2\r\nno\r\n0\r\n\r\n',
  'z\r\n',
  '2\r\nokX',
);
const answers = fc
  .record({
    interim: fc.constantFrom('', '', 'HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n'),
    line: fc.constantFrom(
      'HTTP/1.1 200 OK',
      'HTTP/1.1 200',
      'HTTP/1.0 200 OK',
      'HTTP/1.1 204 No',
      'HTTP/1.1 304 Same',
      'HTTP/1.1 404 No',
      'HTTP/2 200',
      'SSH-2.0',
      '',
    ),
    fields: fc.array(field, { maxLength: 3 }),
    eol: fc.constantFrom('\r\n', '\r\n', '\r\n', '\n'),
    rest: fc.oneof(body, chunks),
    cuts: fc.array(fc.nat(200), { maxLength: 4 }),
  })
  .map(({ interim, line, fields, eol, rest, cuts }) => {
    const text = `${interim}${[line, ...fields, '', ''].join(eol)}${rest}`;
    const at = [...new Set(cuts.filter((cut) => cut > 0 && cut < text.length))].sort((a, b) => a - b);
    return [0, ...at].map((start, i) => text.slice(start, at[i] ?? text.length));
  });

test('the same outcome at the same stage', async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await fc.assert(
    fc.asyncProperty(answers, fc.boolean(), fc.boolean(), async (pieces, looks, keeps) => {
      // it ends in any case: what is not whole is not waited for
      answer = { pieces, ends: true };
      const probes = both(port, looks ? BODY : GOOD_STATUS, keeps ? 60_000 : 0);
      const [plain, general] = await Promise.all(probes.map(ask));
      for (const probe of probes) probe.close();
      const said = JSON.stringify(pieces);
      assert.equal(plain!.passed, general!.passed, `${said}: ${JSON.stringify([plain, general])}`);
      assert.equal(plain!.stage, general!.stage, `${said}: ${JSON.stringify([plain, general])}`);
      assert.equal(plain!.error === null, general!.error === null, `${said}: ${JSON.stringify([plain, general])}`);
    }),
    { numRuns: Number(process.env.AGREEMENT_RUNS ?? 400) },
  );
});
