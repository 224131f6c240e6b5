/** Reads raw answers and makes those of two programs comparable. */

export interface Answer {
  status: string;
  /** `name: value`, sorted; names in lower case. */
  headers: string[];
  body: string;
}

/** Headers whose value is the time of day or the program's name. */
const OWN = new Set(['date', 'server']);

/**
 * @param raw everything that came over a connection, latin1
 * @param methods of the requests that were sent, in turn: an answer to HEAD has no body
 * @returns the answers, and what is left over as a last one with the status `<rest>`
 */
export function readAnswers(raw: string, methods: readonly string[]): Answer[] {
  const answers: Answer[] = [];
  let rest = raw;
  for (let turn = 0; rest.startsWith('HTTP/1.');) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) break;
    const [status = '', ...lines] = rest.slice(0, end).split('\r\n');
    rest = rest.slice(end + 4);
    const headers = lines.map((line) => {
      const colon = line.indexOf(':');
      return `${line.slice(0, colon).toLowerCase()}:${line.slice(colon + 1)}`;
    });
    const interim = / 1\d\d /.test(`${status} `) && !status.includes(' 101');
    const bodiless = interim || methods[turn] === 'HEAD' || / (204|304)\b/.test(status);
    if (!interim) turn++;
    let body = '';
    if (!bodiless) [body, rest] = readBody(rest, headers);
    answers.push(comparable({ status, headers, body }, bodiless));
  }
  if (rest !== '') answers.push({ status: '<rest>', headers: [], body: rest });
  return answers;
}

/** The line of an error page that holds the program's name. */
const SIGNATURE = /(?<=<hr><center>)(nginx|headrace)[^<]*(?=<\/center>)/;

/** Without what names the program or the time; the length of an error page is told as if it named no program. */
function comparable({ status, headers, body }: Answer, bodiless: boolean): Answer {
  const name = SIGNATURE.exec(body)?.[0] ?? '';
  // The length of an error page that does not show.
  const unknown = bodiless && !/ (2\d\d|304)\b/.test(status) ? 'content-length' : '';
  const kept = headers.filter((line) => {
    const field = line.slice(0, line.indexOf(':'));
    return !OWN.has(field) && field !== unknown;
  });
  if (name === '') return { status, headers: kept.sort(), body };
  const shorter = kept.map((line) =>
    line.startsWith('content-length:') ? `content-length: ${Number(line.slice(15)) - name.length}` : line,
  );
  return { status, headers: shorter.sort(), body: body.replace(SIGNATURE, '') };
}

function readBody(rest: string, headers: string[]): [string, string] {
  const value = (name: string): string | undefined =>
    headers
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  if (value('transfer-encoding') === 'chunked') {
    let body = '';
    for (;;) {
      const line = /^([0-9a-fA-F]+)\r\n/.exec(rest);
      if (line === null) return [body + '<bad chunk>', rest];
      const size = Number.parseInt(line[1]!, 16);
      const start = line[0].length;
      if (size === 0) {
        const end = rest.indexOf('\r\n', start);
        const trailers = rest.slice(start).startsWith('\r\n') ? start : rest.indexOf('\r\n\r\n', start) + 2;
        if (end === -1) return [body + '<unfinished>', ''];
        return [body + rest.slice(start, trailers), rest.slice(trailers + 2)];
      }
      body += rest.slice(start, start + size);
      rest = rest.slice(start + size + 2);
    }
  }
  const length = value('content-length');
  if (length === undefined) return [rest, ''];
  return [rest.slice(0, Number(length)), rest.slice(Number(length))];
}

/** nginx has no words for some statuses, and is right that nobody needs them: then ours do not matter. */
export function withoutReason(answers: Answer[], like: Answer[]): Answer[] {
  return answers.map((answer, i) => {
    const status = like[i]?.status;
    const silent = status !== undefined && /^HTTP\/1\.\d \d{3} $/.test(status);
    return silent && answer.status.startsWith(status) ? { ...answer, status } : answer;
  });
}

/** Ports and multipart boundaries differ between two runs of the same thing. */
export function neutral(answer: Answer, ports: Record<string, number>): Answer {
  const boundary = /multipart\/byteranges; boundary=(\S+)/.exec(answer.headers.join('\n'))?.[1];
  const plain = (text: string): string => {
    let result = text;
    for (const [name, port] of Object.entries(ports)) result = result.replaceAll(`:${port}`, `:{${name}}`);
    return boundary === undefined ? result : result.replaceAll(boundary, 'X');
  };
  return { status: answer.status, headers: answer.headers.map(plain), body: plain(answer.body) };
}
