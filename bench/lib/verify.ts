/** The check before measuring: a proxy that answers wrongly must not get a figure. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { askHttp2 } from './http2.ts';
import { BACKENDS } from './backends.ts';
import { answerLength, isHttp2, MIB, type Scenario } from './scenarios.ts';

const REQUESTS = 4 * BACKENDS;

/** Sends some requests and throws when a status, a length or the spread over the backends is not as it should be. */
export async function verify(scenario: Scenario, port: number): Promise<void> {
  const expected = answerLength(scenario);
  const seen = new Set<string>();
  for (let i = 0; i < REQUESTS; i++) {
    const { status, body } = await (isHttp2(scenario) ? askHttp2 : ask)(scenario, port);
    if (status !== 200) throw new Error(`status ${status} instead of 200 for ${scenario.path}`);
    if (body.length !== expected) throw new Error(`${body.length} bytes instead of ${expected} for ${scenario.path}`);
    seen.add(/^backend (\d+) x+$/.exec(body.toString('latin1', 0, 64))?.[1] ?? 'something else');
  }
  const wanted = Array.from({ length: BACKENDS }, (_, index) => `${index + 1}`);
  if ([...seen].sort().join() !== wanted.join()) {
    throw new Error(`answers came from backends ${[...seen].sort().join(', ')} instead of ${wanted.join(', ')}`);
  }
}

function ask(scenario: Scenario, port: number): Promise<{ status: number; body: Buffer }> {
  const upload = scenario.path === '/upload';
  const options = {
    host: '127.0.0.1',
    port,
    path: scenario.path,
    method: upload ? 'POST' : 'GET',
    headers: upload ? { 'Content-Length': MIB } : {},
    agent: false as const,
    timeout: 10000,
    rejectUnauthorized: false,
  };
  return new Promise((resolve, reject) => {
    const request = (scenario.tls ? httpsRequest : httpRequest)(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')));
    request.on('error', reject);
    request.end(upload ? Buffer.alloc(MIB, 'x') : undefined);
  });
}
