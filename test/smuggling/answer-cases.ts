/**
 * Answers that were made to be understood differently by two readers. Each ends in an error, in an answer that the client
 * sees cut off, or in exactly one well-formed answer; the connection to the server is used again only when nothing
 * unexpected was seen on it. The client's next request gets its own answer in every case.
 */

export interface AnswerCase {
  name: string;
  /** Sent as they are, each after the one before was taken. `SMUGGLED` marks what a client must never see as an answer. */
  pieces: string[];
  /** The server ends its side behind the last piece. */
  close?: boolean;
  reset?: boolean;
  method?: string;
  /** What the client is answered. */
  status?: number;
  body?: string;
  fields?: Record<string, string | null>;
  /** The client sees that the answer broke off: its connection ends before the body's end. */
  cut?: boolean;
  /** The connection to the server goes on to the next request. */
  reused: boolean;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED';
const bad = (name: string, ...pieces: string[]): AnswerCase => ({ name, pieces, status: 502, reused: false });
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

export const ANSWER_CASES: AnswerCase[] = [
  // What is right, so that the rest means something.
  { name: 'plain', pieces: [`${OK}Content-Length: 2\r\n\r\nok`], status: 200, body: 'ok', reused: true },
  {
    name: 'chunked',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n${chunk('ok')}0\r\n\r\n`],
    status: 200,
    body: 'ok',
    reused: true,
  },
  { name: 'until the end', pieces: [`${OK}\r\nok`], close: true, status: 200, body: 'ok', reused: false },
  {
    name: 'head byte by byte',
    pieces: [...`${OK}Content-Length: 2\r\nX-A: b\r\n\r\nok`],
    status: 200,
    body: 'ok',
    fields: { 'x-a': 'b' },
    reused: true,
  },
  {
    name: 'chunks byte by byte',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n`, ...`${chunk('hello')}${chunk('there')}0\r\n\r\n`],
    status: 200,
    body: 'hellothere',
    reused: true,
  },

  // Framing.
  bad(
    'Content-Length and Transfer-Encoding',
    `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('ok')}0\r\n\r\n`,
  ),
  bad(
    'Transfer-Encoding and Content-Length',
    `${OK}Transfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n${EVIL}`,
  ),
  bad('Content-Length twice, different', `${OK}Content-Length: 2\r\nContent-Length: 60\r\n\r\nok${EVIL}`),
  bad('Content-Length twice, equal', `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`),
  ...['+2', '-2', '0x2', '', '2, 2', '2 2', '2;', '2.0', '9999999999999999999999', 'two', '\xb2'].map((v) =>
    bad(`Content-Length ${JSON.stringify(v)}`, `${OK}Content-Length: ${v}\r\n\r\nok`),
  ),
  bad('Content-Length with a space before the colon', `${OK}Content-Length : 2\r\n\r\nok`),
  bad('Content-Length folded', `${OK}Content-Length:\r\n 2\r\n\r\nok`),
  ...['identity', 'gzip, chunked', 'chunked, chunked', 'xchunked', '"chunked"', 'chunked;a', '\x0bchunked', ''].map(
    (v) => bad(`Transfer-Encoding ${JSON.stringify(v)}`, `${OK}Transfer-Encoding: ${v}\r\n\r\n${chunk('ok')}0\r\n\r\n`),
  ),
  bad(
    'Transfer-Encoding twice',
    `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('ok')}0\r\n\r\n`,
  ),

  // Heads.
  bad('no HTTP at all', '<html>hello</html>\r\n\r\n'),
  bad('another protocol', 'ICY 200 OK\r\n\r\n'),
  bad('version 2', 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok'),
  bad('no status', 'HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok'),
  bad('status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok'),
  bad('status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok'),
  bad('status 099', 'HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok'),
  bad('two spaces before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok'),
  bad('an empty line first', `\r\n${OK}Content-Length: 2\r\n\r\nok`),
  bad('NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok'),
  bad('bare CR in the reason', `HTTP/1.1 200 OK\rSMUGGLED: a\r\nContent-Length: 2\r\n\r\nok`),
  bad('bare CR in a value', `${OK}X: a\rSMUGGLED: b\r\nContent-Length: 2\r\n\r\nok`),
  bad('NUL in a value', `${OK}X: a\0b\r\nContent-Length: 2\r\n\r\nok`),
  bad('NUL in a name', `${OK}X\0: a\r\nContent-Length: 2\r\n\r\nok`),
  bad('folded value', `${OK}X: a\r\n SMUGGLED: b\r\nContent-Length: 2\r\n\r\nok`),
  bad('no colon', `${OK}SMUGGLED\r\nContent-Length: 2\r\n\r\nok`),
  bad('an empty name', `${OK}: SMUGGLED\r\nContent-Length: 2\r\n\r\nok`),
  bad('head that is too big', `${OK}X: ${'a'.repeat(20_000)}\r\nContent-Length: 2\r\n\r\nok`),
  bad(
    'head that is too big, in pieces',
    OK,
    ...Array.from({ length: 20 }, () => `X: ${'a'.repeat(1000)}\r\n`),
    'Content-Length: 2\r\n\r\nok',
  ),
  { ...bad('head that does not end', `${OK}X: a\r\n`), close: true },
  { ...bad('nothing at all'), close: true },
  { ...bad('a reset in the head', OK), reset: true },
  { ...bad('an interim answer alone', 'HTTP/1.1 100 Continue\r\n\r\n'), close: true },
  bad('an unasked 101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nSMUGGLED'),
  bad('an interim answer with a broken head behind', `HTTP/1.1 100 Continue\r\n\r\nSMUGGLED\r\n\r\n`),
  {
    name: 'interim answers',
    pieces: [
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
      `${OK}Content-Length: 2\r\n\r\nok`,
    ],
    status: 200,
    body: 'ok',
    reused: true,
  },
  {
    name: 'five hundred interim answers',
    pieces: [
      ...Array.from({ length: 5 }, () => 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)),
      `${OK}Content-Length: 2\r\n\r\nok`,
    ],
    status: 200,
    body: 'ok',
    reused: true,
  },
  {
    name: 'interim answers byte by byte',
    pieces: [
      ...'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n',
      `${OK}Content-Length: 2\r\n\r\nok`,
    ],
    status: 200,
    body: 'ok',
    reused: true,
  },
  {
    name: 'all lines end in LF',
    pieces: ['HTTP/1.1 200 OK\nContent-Length: 2\nX-A: b\n\nok'],
    status: 200,
    body: 'ok',
    fields: { 'x-a': 'b' },
    reused: false,
  },
  {
    name: 'line ends mixed',
    pieces: ['HTTP/1.1 200 OK\r\nContent-Length: 2\nX-A: b\r\n\r\nok'],
    status: 200,
    body: 'ok',
    fields: { 'x-a': 'b' },
    reused: false,
  },
  { name: 'no reason', pieces: ['HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok'], status: 200, body: 'ok', reused: true },
  {
    name: 'HTTP/1.0',
    pieces: ['HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    status: 200,
    body: 'ok',
    reused: false,
  },
  {
    name: 'Connection: close',
    pieces: [`${OK}Connection: foo, CLOSE\r\nContent-Length: 2\r\n\r\nok`],
    status: 200,
    body: 'ok',
    fields: { connection: 'keep-alive' },
    reused: false,
  },
  {
    name: 'fields of the connection stay here',
    pieces: [
      `${OK}Connection: keep-alive, X-Hop\r\nX-Hop: SMUGGLED\r\nKeep-Alive: 1\r\nProxy-Connection: close\r\nTrailer: a\r\nUpgrade: h2\r\nContent-Length: 2\r\n\r\nok`,
    ],
    status: 200,
    body: 'ok',
    fields: { 'x-hop': null, 'keep-alive': null, 'proxy-connection': null, upgrade: null, connection: 'keep-alive' },
    reused: true,
  },
  {
    name: 'Connection nominates a name that collides with one that the proxy hides',
    pieces: [`${OK}Connection: x-user-k&\r\nX-User-Id: SMUGGLED\r\nContent-Length: 2\r\n\r\nok`],
    status: 200,
    body: 'ok',
    fields: { 'x-user-id': null },
    reused: true,
  },

  // More than was announced.
  {
    name: 'an answer behind the answer',
    pieces: [`${OK}Content-Length: 2\r\n\r\nok${EVIL}`],
    status: 200,
    body: 'ok',
    reused: false,
  },
  {
    name: 'an answer behind the chunks',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n${chunk('ok')}0\r\n\r\n${EVIL}`],
    status: 200,
    body: 'ok',
    reused: false,
  },
  { name: 'one byte too many', pieces: [`${OK}Content-Length: 2\r\n\r\nokX`], status: 200, body: 'ok', reused: false },
  {
    name: 'an answer behind an empty body',
    pieces: [`${OK}Content-Length: 0\r\n\r\n${EVIL}`],
    status: 200,
    body: '',
    reused: false,
  },
  { name: '204 with a body', pieces: [`HTTP/1.1 204 No Content\r\n\r\n${EVIL}`], status: 204, body: '', reused: false },
  {
    name: '204 with a length and a body',
    pieces: ['HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\nSMUGGLED'],
    status: 204,
    body: '',
    reused: false,
  },
  {
    name: '204 with a length, the body held back',
    pieces: ['HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\n'],
    status: 204,
    body: '',
    reused: false,
  },
  {
    name: '204 with chunks',
    pieces: [`HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('SMUGGLED')}0\r\n\r\n`],
    status: 204,
    body: '',
    reused: false,
  },
  {
    name: '304 with a body',
    pieces: [`HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\nSMUGGLED`],
    status: 304,
    body: '',
    reused: false,
  },
  {
    name: '304 that tells a length',
    pieces: ['HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n'],
    status: 304,
    body: '',
    reused: true,
  },
  {
    name: 'HEAD that tells a length',
    method: 'HEAD',
    pieces: [`${OK}Content-Length: 8\r\n\r\n`],
    status: 200,
    body: '',
    fields: { 'content-length': '8' },
    reused: true,
  },
  {
    name: 'HEAD with a body',
    method: 'HEAD',
    pieces: [`${OK}Content-Length: 8\r\n\r\nSMUGGLED`],
    status: 200,
    body: '',
    reused: false,
  },
  {
    name: 'HEAD with chunks',
    method: 'HEAD',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n${chunk('SMUGGLED')}0\r\n\r\n`],
    status: 200,
    body: '',
    reused: false,
  },
  {
    name: 'HEAD with an answer behind',
    method: 'HEAD',
    pieces: [`${OK}Content-Length: 8\r\n\r\n${EVIL}`],
    status: 200,
    body: '',
    reused: false,
  },

  // Chunks. The head has gone on: what is left is to break off.
  ...(
    [
      ['not hexadecimal', 'x\r\nok\r\n0\r\n\r\n'],
      ['0x', '0x2\r\nok\r\n0\r\n\r\n'],
      ['negative', '-2\r\nok\r\n0\r\n\r\n'],
      ['two sizes', '2 2\r\nok\r\n0\r\n\r\n'],
      ['2^53', '20000000000000\r\nok'],
      ['2^64 + 2', '10000000000000002\r\nok\r\n0\r\n\r\n'],
      ['no CRLF behind the data', '2\r\nok0\r\n\r\n'],
      ['data longer than its size', '2\r\nokay\r\n0\r\n\r\n'],
      ['bare CR behind the size', '2\rok\r\n0\r\n\r\n'],
      ['NUL in an extension', '2;\0\r\nok\r\n0\r\n\r\n'],
      ['trailer that is an answer', `2\r\nok\r\n0\r\n${EVIL}\r\n\r\n`],
      ['trailer that is folded', '2\r\nok\r\n0\r\nA: b\r\n c\r\n\r\n'],
    ] as const
  ).map(([name, text]): AnswerCase => ({
    name: `chunk: ${name}`,
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n..\r\n`, text],
    cut: true,
    reused: false,
  })),
  {
    name: 'chunk: wrong at once',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\nSMUGGLED`],
    status: 502,
    reused: false,
  },
  {
    name: 'chunk: the end is missing',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`],
    close: true,
    cut: true,
    reused: false,
  },
  {
    name: 'chunk: the last line is missing',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n`],
    close: true,
    cut: true,
    reused: false,
  },
  {
    name: 'chunk: a reset',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`],
    reset: true,
    cut: true,
    reused: false,
  },
  {
    name: 'length: the end is missing',
    pieces: [`${OK}Content-Length: 10\r\n\r\nok`],
    close: true,
    cut: true,
    reused: false,
  },
  { name: 'length: a reset', pieces: [`${OK}Content-Length: 10\r\n\r\nok`], reset: true, cut: true, reused: false },
  {
    name: 'chunk: bare LF everywhere',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n`],
    status: 200,
    body: 'ok',
    reused: false,
  },
  {
    name: 'chunk: trailers that frame and authenticate',
    pieces: [
      `${OK}Transfer-Encoding: chunked\r\n\r\n${chunk('ok')}0\r\nContent-Length: 5\r\nSet-Cookie: SMUGGLED\r\n\r\n`,
    ],
    status: 200,
    body: 'ok',
    fields: { 'set-cookie': null },
    reused: true,
  },
  {
    name: 'chunk: extensions and spaces',
    pieces: [`${OK}Transfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n002;a="b"\r\nay\r\n0 ;x\r\n\r\n`],
    status: 200,
    body: 'okay',
    reused: true,
  },

  // Splitting by values.
  {
    name: 'encoded CRLF in a Location',
    pieces: ['HTTP/1.1 302 Found\r\nLocation: /a%0d%0aSMUGGLED:b\r\nContent-Length: 0\r\n\r\n'],
    status: 302,
    fields: { location: '/a%0d%0aSMUGGLED:b' },
    reused: true,
  },
  {
    name: 'a field that the proxy hides',
    pieces: [`${OK}X-User-Id: SMUGGLED\r\nx-user-id: SMUGGLED\r\nContent-Length: 2\r\n\r\nok`],
    status: 200,
    fields: { 'x-user-id': null },
    reused: true,
  },
  {
    name: 'X-Accel fields are not for clients',
    pieces: [`${OK}X-Accel-Expires: 1\r\nX-Accel-Charset: x\r\nContent-Length: 2\r\n\r\nok`],
    status: 200,
    fields: { 'x-accel-expires': null, 'x-accel-charset': null },
    reused: true,
  },
];
