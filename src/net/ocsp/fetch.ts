/** Asks an OCSP responder (RFC 6960 appendix A.1: GET, the request in the path). */
import { Buffer } from 'node:buffer';
import { get } from 'node:http';

const TIMEOUT_MS = 60_000;
const MAX_ANSWER = 256 * 1024;

/**
 * @param responder its URL, `http` alone
 * @param done called once: with the answer's content, or with why there is none
 */
export function askResponder(
  responder: string,
  request: Buffer,
  done: (error: Error | null, answer: Buffer | null) => void,
): void {
  let settled = false;
  const settle = (error: Error | null, answer: Buffer | null): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    done(error, answer);
    asking.destroy();
  };
  const fail = (why: string): void => settle(new Error(`OCSP responder "${responder}": ${why}`), null);
  const url = `${responder}${responder.endsWith('/') ? '' : '/'}${encodeURIComponent(request.toString('base64'))}`;
  const timer = setTimeout(() => fail('timed out'), TIMEOUT_MS);
  timer.unref();
  // What is believed is what is signed: a head with bare line feeds is good enough.
  const options = { agent: false, headers: { Connection: 'close' }, insecureHTTPParser: true };
  const asking = get(url, options, (answer) => {
    if (answer.statusCode !== 200) {
      fail(`status ${answer.statusCode}`);
      return;
    }
    if (answer.headers['content-type']?.split(';')[0]!.trim().toLowerCase() !== 'application/ocsp-response') {
      fail('the answer is of another type');
      return;
    }
    const pieces: Buffer[] = [];
    let length = 0;
    answer.on('data', (piece: Buffer) => {
      pieces.push(piece);
      length += piece.length;
      if (length > MAX_ANSWER) fail('the answer is too long');
    });
    answer.on('end', () => {
      if (answer.complete) settle(null, Buffer.concat(pieces));
      else fail('the answer broke off');
    });
    answer.on('error', (error) => fail(error.message));
  });
  asking.on('error', (error) => fail(error.message));
}
