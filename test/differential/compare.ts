/** Runs the requests of a configuration against both programs and compares the answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requires } from '../helpers/requires.ts';
import { neutral, readAnswers, withoutReason } from './answer.ts';
import type { Answer } from './answer.ts';
import { type RawAnswer, startEcho } from './echo.ts';
import { Running, exchange } from './lab.ts';
import type { Kind } from './lab.ts';

/**
 * A request: its line without version (or with it), then header lines, then, after an empty string, the body in
 * pieces. Host and `Connection: close` are added unless there are such lines; `bytes(…)` is sent as it is.
 */
export type Case = readonly string[] | { readonly bytes: readonly string[] };

export interface Configuration {
  name: string;
  /** The inside of `http {}`. `%%MAIN%%` and other names in capitals are ports; `%%ECHO%%` the echoing backend. */
  http: string;
  files?: Record<string, string | Buffer>;
  /** Answers of the backend under `/raw/NAME`. */
  raw?: Record<string, RawAnswer>;
  cases: readonly Case[];
  /** The port that requests go to, if not `MAIN`. */
  port?: string;
}

/** Bytes that are sent as they are, piece by piece. */
export function bytes(...pieces: string[]): Case {
  return { bytes: pieces };
}

/** The bytes of a case; methods tell which answers have no body. */
function wire(request: Case): { pieces: readonly string[]; methods: string[] } {
  if ('bytes' in request) {
    const text = request.bytes.join('');
    return { pieces: request.bytes, methods: [...text.matchAll(/^([A-Z]+) \S+ HTTP/gm)].map((match) => match[1]!) };
  }
  const empty = request.indexOf('');
  const [line = '', ...headers] = empty === -1 ? request : request.slice(0, empty);
  const body = empty === -1 ? [] : request.slice(empty + 1);
  const has = (name: string): boolean => headers.some((header) => header.toLowerCase().startsWith(`${name}:`));
  const first = / HTTP\/\d/.test(line) ? line : `${line} HTTP/1.1`;
  const lines = [first];
  if (!has('host')) lines.push('Host: localhost');
  if (!has('connection')) lines.push('Connection: close');
  lines.push(...headers);
  if (body.length > 0 && !has('content-length') && !has('transfer-encoding')) {
    lines.push(`Content-Length: ${body.join('').length}`);
  }
  const head = `${lines.join('\r\n')}\r\n\r\n`;
  return { pieces: [head + (body[0] ?? ''), ...body.slice(1)], methods: [line.split(' ')[0]!] };
}

export function nameOf(request: Case): string {
  const text = 'bytes' in request ? request.bytes.join('') : request.join(' | ');
  return JSON.stringify(text).slice(1, 90);
}

async function ask(running: Running, request: Case, port: string): Promise<Answer[]> {
  const { pieces, methods } = wire(request);
  const raw = await exchange(running.ports[port]!, pieces);
  return readAnswers(raw, methods).map((answer) => neutral(answer, running.ports));
}

/** Registers a test for the configuration, with one subtest a request. */
export function compare(configuration: Configuration): void {
  const { name, http, files, raw = {}, cases, port = 'MAIN' } = configuration;
  test(`as nginx: ${name}`, async (t) => {
    if (requires(t, 'nginx') === null) return;
    const echo = await startEcho('echo', raw);
    t.after(() => echo.close());
    const start = async (kind: Kind): Promise<Running> => {
      const running = await Running.start({ kind, http, ports: { ECHO: echo.port }, ...(files && { files }) });
      t.after(() => running.stop());
      return running;
    };
    const [nginx, headrace] = [await start('nginx'), await start('headrace')];
    for (const request of cases) {
      await t.test(nameOf(request), async () => {
        const expected = await ask(nginx, request, port);
        const actual = await ask(headrace, request, port);
        assert.deepEqual(withoutReason(actual, expected), expected);
      });
    }
  });
}
