/**
 * Requests that were made to be understood differently by two readers. Each ends in a refusal that reaches no server,
 * or in exactly the requests that it says, well-formed; after which the connection still answers right.
 */

export interface RequestCase {
  name: string;
  /** One character a byte. `SMUGGLED` in a target or field marks what must never reach a server as a request. */
  bytes: string;
  /** Statuses of which one must be answered, before the connection is closed. */
  refused?: number[];
  /** Targets that reach the server, in order. */
  targets?: string[];
  /** What else must be so of the first one. */
  method?: string;
  body?: string;
  /** Values of fields as the server sees them; null: absent. */
  fields?: Record<string, string | null>;
  /** The refusal is found in the body: when bodies are streamed, the head has gone on before. */
  inBody?: boolean;
  /** The connection closes after the answer, as the client asked. */
  closes?: boolean;
  /** What follows the answer is refused. */
  thenRefused?: boolean;
  /** What the client is answered instead of 200. */
  status?: number;
}

const BAD = [400];
/** A second request that some reader could find in the body. */
const HIDDEN = 'GET /SMUGGLED HTTP/1.1\r\nHost: evil\r\n\r\n';

/** A request with these field lines. */
function get(lines: string[], target = '/x', method = 'GET', version = 'HTTP/1.1'): string {
  return `${method} ${target} ${version}\r\nHost: good\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`;
}

function post(lines: string[], body: string, version = 'HTTP/1.1'): string {
  return get(lines, '/x', 'POST', version) + body;
}

const CHUNKED = 'Transfer-Encoding: chunked';
const CHUNKS = '5\r\nhello\r\n0\r\n\r\n';

const both: RequestCase[] = [
  {
    name: 'Content-Length and Transfer-Encoding',
    bytes: post(['Content-Length: 4', CHUNKED], `${CHUNKS}${HIDDEN}`),
    refused: BAD,
  },
  {
    name: 'Transfer-Encoding and Content-Length',
    bytes: post([CHUNKED, 'Content-Length: 6'], `0\r\n\r\nX${HIDDEN}`),
    refused: BAD,
  },
  { name: 'both, the length 0', bytes: post(['Content-Length: 0', CHUNKED], CHUNKS), refused: BAD },
  {
    name: 'both, the coding unknown',
    bytes: post(['Content-Length: 5', 'Transfer-Encoding: identity'], 'hello'),
    refused: [400, 501],
  },
  {
    name: 'both, the coding empty',
    bytes: post(['Content-Length: 5', 'Transfer-Encoding:'], 'hello'),
    refused: [400, 501],
  },
  { name: 'both, in a GET', bytes: get(['Content-Length: 40', CHUNKED]) + `0\r\n\r\n${HIDDEN}`, refused: BAD },
  {
    name: 'both, the coding nominated away',
    bytes: post(['Connection: Transfer-Encoding', CHUNKED, 'Content-Length: 5'], CHUNKS),
    refused: BAD,
  },
];

const coding: RequestCase[] = [
  { name: 'space before the colon', bytes: post(['Transfer-Encoding : chunked'], CHUNKS), refused: BAD },
  {
    name: 'tab before the colon',
    bytes: post(['Transfer-Encoding\t: chunked', 'Content-Length: 5'], 'hello'),
    refused: BAD,
  },
  { name: 'line that begins with a tab', bytes: post(['X: y', '\tTransfer-Encoding: chunked'], CHUNKS), refused: BAD },
  {
    name: 'line that begins with a space',
    bytes: post(['Content-Length: 5', ' Transfer-Encoding: chunked'], 'hello'),
    refused: BAD,
  },
  {
    name: 'first line that begins with a space',
    bytes: `POST /x HTTP/1.1\r\n Host: good\r\n${CHUNKED}\r\n\r\n${CHUNKS}`,
    refused: BAD,
  },
  { name: 'folded value', bytes: post(['Transfer-Encoding:', ' chunked'], CHUNKS), refused: BAD },
  { name: 'chunked, identity', bytes: post(['Transfer-Encoding: chunked, identity'], CHUNKS), refused: [501] },
  { name: 'identity, chunked', bytes: post(['Transfer-Encoding: identity, chunked'], CHUNKS), refused: [501] },
  { name: 'gzip, chunked', bytes: post(['Transfer-Encoding: gzip, chunked'], CHUNKS), refused: [501] },
  { name: 'chunked, chunked', bytes: post(['Transfer-Encoding: chunked, chunked'], CHUNKS), refused: [501] },
  { name: 'chunked with a comma', bytes: post(['Transfer-Encoding: ,chunked'], CHUNKS), refused: [501] },
  { name: 'identity', bytes: post(['Transfer-Encoding: identity'], 'hello'), refused: [501] },
  { name: 'xchunked', bytes: post(['Transfer-Encoding: xchunked'], CHUNKS), refused: [501] },
  { name: 'chunkedx', bytes: post(['Transfer-Encoding: chunkedx'], CHUNKS), refused: [501] },
  { name: 'quoted', bytes: post(['Transfer-Encoding: "chunked"'], CHUNKS), refused: [501] },
  { name: 'with a parameter', bytes: post(['Transfer-Encoding: chunked;q=1'], CHUNKS), refused: [501] },
  { name: 'empty', bytes: post(['Transfer-Encoding:'], CHUNKS), refused: [501] },
  { name: 'high byte behind', bytes: post(['Transfer-Encoding: chunked\xa0'], CHUNKS), refused: [501] },
  { name: 'high byte before', bytes: post(['Transfer-Encoding: \xa0chunked'], CHUNKS), refused: [501] },
  { name: 'vertical tab before', bytes: post(['Transfer-Encoding: \x0bchunked'], CHUNKS), refused: BAD },
  {
    name: 'vertical tab in the name',
    bytes: post(['Transfer-Encoding\x0b: chunked', 'Content-Length: 5'], 'hello'),
    refused: BAD,
  },
  { name: 'form feed behind', bytes: post(['Transfer-Encoding: chunked\x0c'], CHUNKS), refused: BAD },
  { name: 'NUL behind', bytes: post(['Transfer-Encoding: chunked\0'], CHUNKS), refused: BAD },
  { name: 'NUL in the name', bytes: post(['Transfer-Encoding\0: chunked'], CHUNKS), refused: BAD },
  { name: 'twice', bytes: post([CHUNKED, CHUNKED], CHUNKS), refused: BAD },
  { name: 'twice, the second something else', bytes: post([CHUNKED, 'Transfer-encoding: cow'], CHUNKS), refused: BAD },
  {
    name: 'twice, the first something else',
    bytes: post(['Transfer-Encoding: identity', CHUNKED], CHUNKS),
    refused: BAD,
  },
  { name: 'in HTTP/1.0', bytes: post([CHUNKED], CHUNKS, 'HTTP/1.0'), refused: BAD },
  {
    name: 'in HTTP/1.0 with keep-alive',
    bytes: post([CHUNKED, 'Connection: keep-alive'], CHUNKS, 'HTTP/1.0'),
    refused: BAD,
  },
  { name: 'behind a bare LF', bytes: post(['X: y\nTransfer-Encoding: chunked'], CHUNKS), refused: BAD },
  { name: 'behind a bare CR', bytes: post(['X: y\rTransfer-Encoding: chunked'], CHUNKS), refused: BAD },
  { name: 'name broken by CRLF', bytes: post(['Transfer-Encoding', ': chunked'], CHUNKS), refused: BAD },
  { name: 'upper case', bytes: post(['TRANSFER-ENCODING: CHUNKED'], CHUNKS), targets: ['/x'], body: 'hello' },
  {
    name: 'no space behind the colon',
    bytes: post(['Transfer-Encoding:chunked'], CHUNKS),
    targets: ['/x'],
    body: 'hello',
  },
  {
    name: 'white space around',
    bytes: post(['Transfer-Encoding: \t chunked \t '], CHUNKS),
    targets: ['/x'],
    body: 'hello',
  },
  {
    name: 'underscore in the name beside a length',
    bytes: post(['Transfer_Encoding: chunked', 'Content-Length: 5'], 'hello'),
    targets: ['/x'],
    body: 'hello',
    fields: { transfer_encoding: null, 'content-length': '5' },
  },
  {
    name: 'high byte in the name beside a length',
    bytes: post(['Transfer\xadEncoding: chunked', 'Content-Length: 5'], 'hello'),
    targets: ['/x'],
    body: 'hello',
  },
  {
    name: 'behind an empty name',
    bytes: post([': x', ':Transfer-Encoding: chunked', 'Content-Length: 5'], 'hello'),
    targets: ['/x'],
    body: 'hello',
  },
];

const length: RequestCase[] = [
  ...[
    '+5',
    '-5',
    '5, 5',
    '5,6',
    '5 5',
    '0x5',
    '',
    '5;',
    '5.0',
    '5e0',
    '\x0b5',
    '5\x0b',
    '\xb2',
    '５',
    '5_0',
    '"5"',
    'five',
    ',5',
  ].map((v): RequestCase => ({
    name: `length ${JSON.stringify(v)}`,
    bytes: post([`Content-Length: ${v.replace('５', '\xef\xbc\x95')}`], 'hello'),
    refused: BAD,
  })),
  { name: 'length with NUL', bytes: post(['Content-Length: 5\0'], 'hello'), refused: BAD },
  { name: 'length 2^53', bytes: post(['Content-Length: 9007199254740993'], 'hello'), refused: [400, 413] },
  { name: 'length 2^64 + 5', bytes: post(['Content-Length: 18446744073709551621'], 'hello'), refused: [400, 413] },
  { name: 'length 2^32 + 5', bytes: post(['Content-Length: 4294967301'], 'hello'), refused: [413] },
  { name: 'length of forty digits', bytes: post([`Content-Length: ${'9'.repeat(40)}`], 'hello'), refused: [400, 413] },
  { name: 'length twice, equal', bytes: post(['Content-Length: 5', 'Content-Length: 5'], 'hello'), refused: BAD },
  { name: 'length twice, different', bytes: post(['Content-Length: 5', 'Content-Length: 0'], 'hello'), refused: BAD },
  { name: 'length with a space before the colon', bytes: post(['Content-Length : 5'], 'hello'), refused: BAD },
  { name: 'length folded', bytes: post(['Content-Length:', ' 5'], 'hello'), refused: BAD },
  { name: 'length in two lines', bytes: post(['Content-Length: 5', ' 0'], `hello${HIDDEN}`), refused: BAD },
  {
    name: 'length with leading zeros',
    bytes: post(['Content-Length: 005'], 'hello'),
    targets: ['/x'],
    body: 'hello',
    fields: { 'content-length': '5' },
  },
  { name: 'length with white space', bytes: post(['Content-Length: \t5\t '], 'hello'), targets: ['/x'], body: 'hello' },
  {
    name: 'length nominated away',
    bytes: post(['Connection: Content-Length', 'Content-Length: 5'], 'hello'),
    targets: ['/x'],
    body: 'hello',
  },
  {
    name: 'length 0 with a body that is none',
    bytes: post(['Content-Length: 0'], 'hello\r\n\r\n'),
    targets: ['/x'],
    body: '',
    thenRefused: true,
  },
  {
    name: 'no length with a body that is none',
    bytes: post([], 'hello there\r\n\r\n'),
    targets: ['/x'],
    body: '',
    thenRefused: true,
  },
  {
    name: 'length named in quotes',
    bytes: post(['"Content-Length": 5'], 'hello\r\n\r\n'),
    targets: ['/x'],
    body: '',
    thenRefused: true,
  },
  {
    name: 'length in HTTP/1.0',
    bytes: post(['Content-Length: 5'], 'hello', 'HTTP/1.0'),
    targets: ['/x'],
    body: 'hello',
    closes: true,
  },
];

function chunked(name: string, body: string): RequestCase {
  return { name: `chunk: ${name}`, bytes: post([CHUNKED], body), refused: BAD, inBody: true };
}

const chunks: RequestCase[] = [
  chunked('bare LF behind the size', '5\nhello\r\n0\r\n\r\n'),
  chunked('bare CR behind the size', '5\rhello\r\n0\r\n\r\n'),
  chunked('0x', '0x5\r\nhello\r\n0\r\n\r\n'),
  chunked('space before the size', ' 5\r\nhello\r\n0\r\n\r\n'),
  chunked('two sizes', '5 5\r\nhello\r\n0\r\n\r\n'),
  chunked('negative', '-1\r\nhello\r\n0\r\n\r\n'),
  chunked('plus', '+5\r\nhello\r\n0\r\n\r\n'),
  chunked('no size', '\r\nhello\r\n0\r\n\r\n'),
  chunked('not hexadecimal', 'g\r\nhello\r\n0\r\n\r\n'),
  chunked('2^53', `20000000000000\r\n${HIDDEN}`),
  chunked('2^64 + 5', `10000000000000005\r\nhello\r\n0\r\n\r\n${HIDDEN}`),
  { ...chunked('2^32 + 5, as a wrapped 5', `100000005\r\nhello\r\n0\r\n\r\n${HIDDEN}`), refused: [413] },
  chunked('NUL in an extension', '5;\0\r\nhello\r\n0\r\n\r\n'),
  chunked('bare LF in an extension', `5;x\nhello\r\n0\r\n\r\n`),
  chunked('bare CR in an extension', `5;x\ry\r\nhello\r\n0\r\n\r\n`),
  chunked('extension that is too long', `5;${'x'.repeat(70_000)}\r\nhello\r\n0\r\n\r\n`),
  chunked('no CRLF behind the data', `5\r\nhello0\r\n\r\n`),
  chunked('LF behind the data', `5\r\nhello\n0\r\n\r\n`),
  chunked('CR behind the data', `5\r\nhello\r0\r\n\r\n`),
  chunked('data longer than its size', `5\r\nhello!\r\n0\r\n\r\n`),
  chunked('two bytes where CRLF belongs', `5\r\nhelloXX0\r\n\r\n`),
  chunked('last chunk with a bare LF', `5\r\nhello\r\n0\n\n`),
  chunked('end with a bare LF', `5\r\nhello\r\n0\r\n\n`),
  chunked('end with CR and something else', `5\r\nhello\r\n0\r\n\rX\r\n\r\n`),
  chunked('trailer that is a request line', `0\r\n${HIDDEN}`),
  chunked('trailer with a space before the colon', `0\r\nA : b\r\n\r\n`),
  chunked('trailer that is folded', `0\r\nA: b\r\n c\r\n\r\n`),
  chunked('trailer with a bare LF', `0\r\nA: b\nC: d\r\n\r\n`),
  chunked('trailers that are too long', `0\r\n${`A: ${'b'.repeat(990)}\r\n`.repeat(40)}\r\n`),
  {
    name: 'chunk: extensions, zeros, upper case',
    bytes: post([CHUNKED], '5;a=b\r\nhello\r\n000A ; c="d e"\r\n0123456789\r\n00\r\n\r\n'),
    targets: ['/x'],
    body: 'hello0123456789',
  },
  {
    name: 'chunk: trailers that frame, route or authenticate',
    bytes: post(
      [CHUNKED, 'Trailer: Host'],
      '5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\nHost: SMUGGLED\r\nAuthorization: SMUGGLED\r\nX-Real-IP: SMUGGLED\r\n\r\n',
    ),
    targets: ['/x'],
    body: 'hello',
    fields: { host: 'good', authorization: null, 'x-real-ip': '127.0.0.1', trailer: null },
  },
  {
    name: 'chunk: a request behind the body',
    bytes: post([CHUNKED], `${CHUNKS}${get([], '/second')}`),
    targets: ['/x', '/second'],
    body: 'hello',
  },
  {
    name: 'chunk: a body that looks like a request',
    bytes: post([CHUNKED], `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`),
    targets: ['/x'],
    body: HIDDEN,
  },
  { name: 'chunk: an empty body', bytes: post([CHUNKED], '0\r\n\r\n'), targets: ['/x'], body: '' },
];

const lines: RequestCase[] = [
  { name: 'all lines end in LF', bytes: get([]).replaceAll('\r\n', '\n'), targets: ['/x'] },
  {
    name: 'all lines end in LF, a body with CRLF',
    bytes: post(['Content-Length: 5'], '').replaceAll('\r\n', '\n') + '\r\n\r\nx',
    targets: ['/x'],
    body: '\r\n\r\nx',
  },
  {
    name: 'a chunked body is CRLF even when the head is LF',
    bytes: post([CHUNKED], CHUNKS).replaceAll('\r\n', '\n'),
    refused: BAD,
    inBody: true,
  },
  { name: 'CRLF, then a bare LF', bytes: 'GET /x HTTP/1.1\r\nHost: good\nX: y\r\n\r\n', refused: BAD },
  { name: 'an empty line that is a bare LF', bytes: `GET /x HTTP/1.1\r\nHost: good\r\n\n${HIDDEN}`, refused: BAD },
  { name: 'bare LF in a value', bytes: get(['X: a\nSMUGGLED: b']), refused: BAD },
  { name: 'bare CR in a value', bytes: get(['X: a\rSMUGGLED: b']), refused: BAD },
  { name: 'bare CR at the end of a value', bytes: get(['X: a\r']), refused: BAD },
  { name: 'CR CR LF', bytes: 'GET /x HTTP/1.1\r\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'LF CR', bytes: 'GET /x HTTP/1.1\n\rHost: good\n\r\n\r', refused: BAD },
  {
    name: 'bare CR as the only line end',
    bytes: 'GET /x HTTP/1.1\rHost: good\r\rGET /SMUGGLED HTTP/1.1\r\r\r\n\r\n',
    refused: BAD,
  },
  { name: 'bare CR before the request', bytes: `\r${get([])}`, refused: BAD },
  { name: 'empty lines before the request', bytes: `\r\n\r\n${get([])}`, targets: ['/x'] },
  {
    name: 'empty line behind a body',
    bytes: `${post(['Content-Length: 5'], 'hello')}\r\n${get([], '/second')}`,
    targets: ['/x', '/second'],
    body: 'hello',
  },
  { name: 'NUL in a value', bytes: get(['X: a\0b']), refused: BAD },
  { name: 'NUL in a name', bytes: get(['X\0Y: a']), refused: BAD },
  { name: 'escape in a value', bytes: get(['X: a\x1bb']), refused: BAD },
  { name: 'DEL in a value', bytes: get(['X: a\x7fb']), refused: BAD },
  {
    name: 'high bytes in a value',
    bytes: get(['X-High: \xe4\xff']),
    targets: ['/x'],
    fields: { 'x-high': '\xe4\xff' },
  },
  { name: 'space before a colon', bytes: get(['X : y']), refused: BAD },
  { name: 'space in a name', bytes: get(['X Y: z']), refused: BAD },
  { name: 'a line without colon', bytes: get(['GET /SMUGGLED HTTP/1.1']), refused: BAD },
  { name: 'a name without colon', bytes: get(['SMUGGLED']), refused: BAD },
  { name: 'an empty name', bytes: get([': SMUGGLED', 'X-Z: z']), targets: ['/x'], fields: { 'x-z': 'z' } },
  {
    name: 'names of bytes that no token has',
    bytes: get(['a(b): SMUGGLED', 'a"b: SMUGGLED', 'X-Z: z', '\x80: SMUGGLED']),
    targets: ['/x'],
    fields: { 'x-z': 'z' },
  },
  { name: 'folded value', bytes: get(['X: a', '  b']), refused: BAD },
  { name: 'folded empty line', bytes: get(['X: a', ' ']), refused: BAD },
  { name: 'a field of 9,000 bytes', bytes: get([`X: ${'a'.repeat(9000)}`]), refused: [400, 494] },
  {
    name: 'fields of 40,000 bytes',
    bytes: get(Array.from({ length: 20 }, (_, i) => `X${i}: ${'a'.repeat(2000)}`)),
    refused: [400, 494],
  },
  { name: '1,001 fields', bytes: get(Array.from({ length: 1001 }, () => 'a:b')), refused: [400, 494, 431] },
  { name: 'a target of 9,000 bytes', bytes: get([], `/${'a'.repeat(9000)}`), refused: [414] },
  { name: 'a method of 9,000 bytes', bytes: get([], '/', 'A'.repeat(9000)), refused: [400, 414] },
];

const requestLine: RequestCase[] = [
  { name: 'two spaces before the target', bytes: 'GET  /x HTTP/1.1\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'two spaces before the version', bytes: 'GET /x  HTTP/1.1\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'tab for a space', bytes: 'GET\t/x\tHTTP/1.1\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'space before the method', bytes: ' GET /x HTTP/1.1\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'space behind the version', bytes: 'GET /x HTTP/1.1 \r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'two targets', bytes: 'GET /x /SMUGGLED HTTP/1.1\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'a version in the target', bytes: 'GET /x HTTP/1.1 HTTP/1.1\r\nHost: good\r\n\r\n', refused: BAD },
  { name: 'NUL in the target', bytes: get([], '/x\0y'), refused: BAD },
  { name: 'tab in the target', bytes: get([], '/x\ty'), refused: BAD },
  { name: 'vertical tab in the target', bytes: get([], '/x\x0by'), refused: BAD },
  { name: 'DEL in the target', bytes: get([], '/x\x7f'), refused: BAD },
  { name: 'bare CR in the target', bytes: get([], '/x\rGET'), refused: BAD },
  { name: 'encoded NUL in the target', bytes: get([], '/x%00'), refused: BAD },
  { name: 'a bad escape in the target', bytes: get([], '/x%zz'), refused: BAD },
  { name: 'above the root', bytes: get([], '/x/../../etc'), refused: BAD },
  { name: 'above the root, encoded', bytes: get([], '/%2e%2e/etc'), refused: BAD },
  { name: 'HTTP/0.9', bytes: 'GET /x\r\n', refused: BAD },
  { name: 'HTTP/0.9 with a space', bytes: 'GET /x \r\n\r\n', refused: BAD },
  { name: 'version 0.9', bytes: get([], '/x', 'GET', 'HTTP/0.9'), refused: [400, 505] },
  { name: 'version 2.0', bytes: get([], '/x', 'GET', 'HTTP/2.0'), refused: [505] },
  { name: 'version 1.10', bytes: get([], '/x', 'GET', 'HTTP/1.10'), refused: BAD },
  { name: 'version 01.1', bytes: get([], '/x', 'GET', 'HTTP/01.1'), refused: BAD },
  { name: 'version +1.1', bytes: get([], '/x', 'GET', 'HTTP/+1.1'), refused: BAD },
  { name: 'version 1,1', bytes: get([], '/x', 'GET', 'HTTP/1,1'), refused: BAD },
  { name: 'version in lower case', bytes: get([], '/x', 'GET', 'http/1.1'), refused: BAD },
  { name: 'another protocol', bytes: get([], '/x', 'GET', 'HTTPS/1.1'), refused: BAD },
  { name: 'version 1.2', bytes: get([], '/x', 'GET', 'HTTP/1.2'), targets: ['/x'] },
  { name: 'HTTP/2 preface', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', refused: [400, 405, 505] },
  { name: 'TLS on a plain port', bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', refused: BAD },
  { name: 'asterisk', bytes: get([], '*', 'OPTIONS'), refused: BAD },
  { name: 'relative target', bytes: get([], 'x'), refused: BAD },
  { name: 'backslash target', bytes: get([], '\\x'), refused: BAD },
  { name: 'query alone', bytes: get([], '?x'), refused: BAD },
  { name: 'CONNECT', bytes: 'CONNECT good:443 HTTP/1.1\r\nHost: good:443\r\n\r\n', refused: [400, 405] },
  { name: 'CONNECT with a path', bytes: get([], '/x', 'CONNECT'), refused: [400, 405] },
  { name: 'TRACE', bytes: get([], '/x', 'TRACE'), refused: [405] },
  { name: 'a method with a bracket', bytes: get([], '/x', 'G(T'), refused: BAD },
  { name: 'a method with NUL', bytes: get([], '/x', 'G\0T'), refused: BAD },
  { name: 'a method with high bytes', bytes: get([], '/x', 'G\xc9T'), refused: BAD },
  {
    name: 'an unknown method with a body',
    bytes: get(['Content-Length: 5'], '/x', 'BREW') + 'hello',
    targets: ['/x'],
    method: 'BREW',
    body: 'hello',
  },
  {
    name: 'GET with a body',
    bytes: get(['Content-Length: 37'], '/x') + HIDDEN.slice(0, 37),
    targets: ['/x'],
    method: 'GET',
    body: HIDDEN.slice(0, 37),
  },
  { name: 'GET with a chunked body', bytes: get([CHUNKED]) + CHUNKS, targets: ['/x'], method: 'GET', body: 'hello' },
  {
    name: 'HEAD with a body',
    bytes: get(['Content-Length: 5'], '/x', 'HEAD') + 'hello',
    targets: ['/x'],
    method: 'HEAD',
    body: 'hello',
  },
  { name: 'high bytes in the target', bytes: get([], '/\xe4'), targets: ['/\xe4'] },
  {
    name: 'encoded CRLF in the target stays encoded',
    bytes: get([], '/a%0d%0aSMUGGLED:%20b'),
    targets: ['/a%0d%0aSMUGGLED:%20b'],
  },
];

const host: RequestCase[] = [
  { name: 'no Host', bytes: 'GET /x HTTP/1.1\r\n\r\n', refused: BAD },
  { name: 'two Hosts', bytes: get(['Host: evil']), refused: BAD },
  { name: 'two equal Hosts', bytes: get(['Host: good']), refused: BAD },
  { name: 'folded Host', bytes: 'GET /x HTTP/1.1\r\nHost: good\r\n evil\r\n\r\n', refused: BAD },
  {
    name: 'Host with a space before the colon',
    bytes: 'GET /x HTTP/1.1\r\nHost : evil\r\nHost: good\r\n\r\n',
    refused: BAD,
  },
  ...[
    '',
    'a b',
    'a/b',
    'a\\b',
    'good@evil',
    'a?b',
    'a#b',
    'a\x80',
    'a..b',
    '[::1',
    '::1]',
    '[::1]x',
    'a:b',
    'a:80:90',
    'a:99999',
    'a:-1',
    '"a"',
    'a<b',
    'a\tb',
    ':80',
    '.',
  ].map((v): RequestCase => ({
    name: `Host ${JSON.stringify(v)}`,
    bytes: `GET /x HTTP/1.1\r\nHost: ${v}\r\n\r\n`,
    refused: BAD,
  })),
  {
    name: 'HTTP/1.0 without Host',
    bytes: 'GET /x HTTP/1.0\r\n\r\n',
    targets: ['/x'],
    fields: { host: 'good' },
    closes: true,
  },
  {
    name: 'Host in another case with a port',
    bytes: 'GET /x HTTP/1.1\r\nhOST: Good:8080\r\n\r\n',
    targets: ['/x'],
    fields: { host: 'good' },
  },
  { name: 'absolute form against Host', bytes: get([], 'http://evil/x'), targets: ['/x'], fields: { host: 'evil' } },
  {
    name: 'absolute form with a port',
    bytes: get([], 'http://good:81/x?y'),
    targets: ['/x?y'],
    fields: { host: 'good' },
  },
  { name: 'absolute form without path', bytes: get([], 'http://good'), targets: ['/'] },
  { name: 'absolute form with a query alone', bytes: get([], 'http://good?y'), targets: ['/?y'] },
  { name: 'absolute form with a fragment alone', bytes: get([], 'http://good#y'), refused: BAD },
  { name: 'absolute form without Host', bytes: 'GET http://good/x HTTP/1.1\r\n\r\n', refused: BAD },
  { name: 'absolute form with a bad Host', bytes: 'GET http://good/x HTTP/1.1\r\nHost: a/b\r\n\r\n', refused: BAD },
  ...[
    'http://good@evil/x',
    'http:///x',
    'http:/x',
    'http:x',
    'http//x',
    '//',
    'http://a b/',
    'http://a\\b/',
    'http://[::1/x',
    'http://good:99999/x',
    '1ttp://good/x',
    '://good/x',
  ]
    .filter((v) => v !== '//')
    .map((v): RequestCase => ({ name: `target ${JSON.stringify(v)}`, bytes: get([], v), refused: BAD })),
  {
    name: 'a target that begins with two slashes is a path',
    bytes: get([], '//evil/x'),
    targets: ['//evil/x'],
    fields: { host: 'good' },
  },
  {
    name: 'X-Forwarded-Host does not route',
    bytes: get(['X-Forwarded-Host: evil', 'X-Host: evil']),
    targets: ['/x'],
    fields: { host: 'good' },
  },
];

const hop: RequestCase[] = [
  {
    name: 'Connection nominates a field that the proxy sets',
    bytes: get(['Connection: close, X-Real-IP', 'X-Real-IP: 6.6.6.6']),
    targets: ['/x'],
    fields: { 'x-real-ip': '127.0.0.1' },
    closes: true,
  },
  { name: 'Connection nominates Host', bytes: get(['Connection: Host']), targets: ['/x'], fields: { host: 'good' } },
  {
    name: 'Connection nominates Cookie',
    bytes: get(['Connection: Cookie', 'Cookie: a']),
    targets: ['/x'],
    fields: { cookie: null, connection: null },
  },
  {
    name: 'Connection nominates the coding',
    bytes: post(['Connection: Transfer-Encoding', CHUNKED], CHUNKS),
    targets: ['/x'],
    body: 'hello',
  },
  {
    name: 'Connection nominates a name that collides with one that the proxy sets',
    bytes: get(['Connection: x-user-k&', 'X-User-Id: SMUGGLED']),
    targets: ['/x'],
    fields: { 'x-user-id': 'ours' },
  },
  {
    name: 'Connection nominates names of every object',
    bytes: get(['Connection: constructor, __proto__', 'constructor: a', '__proto__: b']),
    targets: ['/x'],
    fields: { constructor: null, __proto__: null },
  },
  {
    name: 'a field that the proxy sets, many times',
    bytes: get(['X-User-Id: SMUGGLED', 'x-user-id: SMUGGLED', 'X-USER-ID:SMUGGLED']),
    targets: ['/x'],
    fields: { 'x-user-id': 'ours' },
  },
  {
    name: 'a field that the proxy sets, with underscores',
    bytes: get(['X_User_Id: SMUGGLED', 'X-User_Id: SMUGGLED']),
    targets: ['/x'],
    fields: { 'x-user-id': 'ours', x_user_id: null, 'x-user_id': null },
  },
  {
    name: 'fields of the connection stay here',
    bytes: get([
      'Connection: keep-alive, te',
      'Keep-Alive: 5',
      'Proxy-Connection: close',
      'TE: trailers',
      'Trailer: X',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
    ]),
    targets: ['/x'],
    fields: {
      connection: null,
      'keep-alive': null,
      'proxy-connection': null,
      te: null,
      trailer: null,
      upgrade: null,
      'http2-settings': null,
    },
  },
  {
    name: 'Upgrade: h2c as a client sends it',
    bytes: get(['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']),
    targets: ['/x'],
    fields: { upgrade: null, 'http2-settings': null, connection: null },
  },
  {
    name: 'Expect: 100-continue',
    bytes: post(['Expect: 100-continue', 'Content-Length: 5'], 'hello'),
    targets: ['/x'],
    body: 'hello',
    fields: { expect: null },
  },
  {
    name: 'Expect: something else',
    bytes: post(['Expect: 200-ok', 'Content-Length: 5'], 'hello'),
    targets: ['/x'],
    body: 'hello',
  },
  {
    name: 'Connection: close in odd case and with commas',
    bytes: get(['Connection: ,, CLOSE ,']),
    targets: ['/x'],
    closes: true,
  },
];

const pipelined: RequestCase[] = [
  {
    name: 'three requests in one write',
    bytes: get([], '/1') + get([], '/2') + get([], '/3'),
    targets: ['/1', '/2', '/3'],
  },
  {
    name: 'a request behind a body',
    bytes: post(['Content-Length: 5'], 'hello') + get([], '/2'),
    targets: ['/x', '/2'],
    body: 'hello',
  },
  {
    name: 'bodies behind each other',
    bytes: post(['Content-Length: 5'], 'hello') + post([CHUNKED], CHUNKS) + post(['Content-Length: 0'], ''),
    targets: ['/x', '/x', '/x'],
  },
  {
    name: 'a good request, then a bad one',
    bytes: get([], '/1') + post(['Content-Length: 5', CHUNKED], CHUNKS),
    targets: ['/1'],
    thenRefused: true,
  },
  {
    name: 'nothing is read behind Connection: close',
    bytes: get(['Connection: close'], '/1') + HIDDEN,
    targets: ['/1'],
    closes: true,
  },
  { name: 'nothing is read behind a refusal', bytes: get(['X : y'], '/1') + HIDDEN, refused: BAD },
  {
    name: 'nothing is read behind HTTP/1.0',
    bytes: 'GET /1 HTTP/1.0\r\nHost: good\r\n\r\n' + HIDDEN,
    targets: ['/1'],
    closes: true,
  },
  {
    name: 'a second request that begins within the CRLF of the first',
    bytes: get([], '/1') + '\n\nGET /2 HTTP/1.1\r\nHost: good\r\n\r\n',
    targets: ['/1', '/2'],
  },
];

/** Escapes that come to life when a target is rewritten or a variable is used. */
const rewritten: RequestCase[] = [
  {
    name: 'prefix replaced',
    bytes: get([], '/strip/a%0d%0aSMUGGLED:%20b%0d%0a'),
    targets: ['/base/a%0D%0ASMUGGLED:%20b%0D%0A'],
  },
  {
    name: 'prefix replaced, a whole request',
    bytes: get([], '/strip/%20HTTP/1.1%0d%0aHost:%20evil%0d%0a%0d%0aGET%20/SMUGGLED'),
    targets: ['/base/%20HTTP/1.1%0D%0AHost:%20evil%0D%0A%0D%0AGET%20/SMUGGLED'],
  },
  { name: 'encoded question mark and hash', bytes: get([], '/strip/a%3fb%23c%25d'), targets: ['/base/a%3Fb%23c%25d'] },
  {
    name: '$uri in the target',
    bytes: get([], '/var/a%20HTTP/1.1%0d%0aSMUGGLED:%20b'),
    targets: ['/var/a%20HTTP/1.1%0D%0ASMUGGLED:%20b'],
  },
  { name: 'capture in the target', bytes: get([], '/cap/a%0d%0aSMUGGLED:b'), targets: ['/c/a%0D%0ASMUGGLED:b'] },
  { name: 'capture in rewrite', bytes: get([], '/rewrite/a%0d%0aSMUGGLED:b'), targets: ['/r/a%0D%0ASMUGGLED:b'] },
  {
    name: 'capture in the arguments of rewrite',
    bytes: get([], '/args/a%0d%0aSMUGGLED:b'),
    targets: ['/r?x=a%0D%0ASMUGGLED:b'],
  },
  {
    name: '$uri set as $args',
    bytes: get([], '/setargs/a%20HTTP/1.1%0d%0aSMUGGLED:%20b'),
    targets: ['/setargs/?/setargs/a%20HTTP/1.1%0D%0ASMUGGLED:%20b'],
  },
  {
    name: '$uri in a request field',
    bytes: get([], '/field/a%0d%0aSMUGGLED:b'),
    targets: ['/field/a%0d%0aSMUGGLED:b'],
    fields: { smuggled: null },
  },
  {
    name: '$uri in an answer field',
    bytes: get([], '/answer/a%0d%0aSMUGGLED:b'),
    targets: ['/answer/a%0d%0aSMUGGLED:b'],
  },
  { name: '$uri in a redirect', bytes: get([], '/redirect/a%0d%0aSMUGGLED:b'), targets: [], status: 302 },
  {
    name: '$uri as the method',
    bytes: get([], '/method/a%20/SMUGGLED%20HTTP/1.1%0d%0aX:b'),
    targets: ['/method/a%20/SMUGGLED%20HTTP/1.1%0d%0aX:b'],
    method: 'GET',
  },
  {
    name: 'argument as the method',
    bytes: get(['X-Method: DELETE /SMUGGLED HTTP/1.1'], '/fieldmethod/'),
    targets: ['/fieldmethod/'],
    method: 'GET',
  },
  {
    name: 'a field in the target',
    bytes: get(['X-Path: /a HTTP/1.1 SMUGGLED'], '/fieldtarget/'),
    targets: ['/a%20HTTP/1.1%20SMUGGLED'],
  },
];

/** Bodies that are long enough to take other paths than small ones, with another request right behind. */
const LONG = '0123456789abcdef'.repeat(600);
const LONG_CHUNK = `${LONG.length.toString(16)}\r\n${LONG}\r\n`;
const large: RequestCase[] = [
  {
    name: 'a long body by length',
    bytes: post([`Content-Length: ${LONG.length}`], LONG) + get([], '/2'),
    targets: ['/x', '/2'],
    body: LONG,
  },
  {
    name: 'a long chunk',
    bytes: post([CHUNKED], `${LONG_CHUNK}0\r\n\r\n`) + get([], '/2'),
    targets: ['/x', '/2'],
    body: LONG,
  },
  {
    name: 'long chunks with extensions',
    bytes:
      post([CHUNKED], `${LONG_CHUNK}${LONG_CHUNK.replace('\r', ';a=b\r')}1\r\nx\r\n${LONG_CHUNK}0\r\n\r\n`) +
      get([], '/2'),
    targets: ['/x', '/2'],
    body: `${LONG}${LONG}x${LONG}`,
  },
  {
    name: 'a long chunk, then trailers',
    bytes: post([CHUNKED], `${LONG_CHUNK}0\r\nSMUGGLED: b\r\n\r\n`) + get([], '/2'),
    targets: ['/x', '/2'],
    body: LONG,
  },
  {
    name: 'a long chunk, then garbage',
    bytes: post([CHUNKED], `${LONG_CHUNK}GET /SMUGGLED HTTP/1.1\r\nHost: x\r\n\r\n`),
    refused: BAD,
    inBody: true,
  },
  {
    name: 'a long chunk whose end is missing',
    bytes: post([CHUNKED], `${LONG_CHUNK.slice(0, -2)}GET /SMUGGLED HTTP/1.1\r\nHost: x\r\n\r\n`),
    refused: BAD,
    inBody: true,
  },
];

export const REQUEST_CASES: { group: string; cases: RequestCase[] }[] = [
  { group: 'both framings', cases: both },
  { group: 'Transfer-Encoding', cases: coding },
  { group: 'Content-Length', cases: length },
  { group: 'chunks', cases: chunks },
  { group: 'lines', cases: lines },
  { group: 'request line', cases: requestLine },
  { group: 'Host and authority', cases: host },
  { group: 'fields of the connection', cases: hop },
  { group: 'pipelining', cases: pipelined },
  { group: 'long bodies', cases: large },
  { group: 'escapes that come to life', cases: rewritten },
];
