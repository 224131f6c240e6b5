/** Calls the Admin API as a function, with a body in any of its formats. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { KongBalancers } from '../../../src/config/kong/model.ts';
import { isObject } from '../../../src/config/kong/schema.ts';
import type { Json, JsonObject } from '../../../src/config/kong/schema.ts';
import type { Api } from '../../../src/admin/kong/context.ts';
import { handle, openApi } from '../../../src/admin/kong/handle.ts';
import type { AdminAnswer } from '../../../src/admin/kong/http.ts';
import type { Store } from '../../../src/store/store.ts';
import { answerSchema, violations } from './schema-check.ts';

export const FORMATS = ['json', 'form', 'multipart'] as const;
export type Format = (typeof FORMATS)[number];

/** `{a: {b: [1]}}` as `a.b[]=1`. */
export function formEntries(input: JsonObject): [name: string, value: string][] {
  const walk = (name: string, value: Json): [string, string][] => {
    if (Array.isArray(value)) return value.flatMap((item) => walk(`${name}[]`, item));
    if (isObject(value)) return Object.entries(value).flatMap(([key, inner]) => walk(`${name}.${key}`, inner));
    return [[name, value === null ? '' : String(value)]];
  };
  return Object.entries(input).flatMap(([name, value]) => walk(name, value));
}

export function encode(format: Format, input: JsonObject): { type: string; body: string } {
  if (format === 'json') return { type: 'application/json', body: JSON.stringify(input) };
  const entries = formEntries(input);
  if (format === 'form') {
    return { type: 'application/x-www-form-urlencoded', body: new URLSearchParams(entries).toString() };
  }
  const parts = entries.map(
    ([name, value]) => `--XyZ\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return { type: 'multipart/form-data; boundary=XyZ', body: `${parts.join('')}--XyZ--\r\n` };
}

export interface Answer extends AdminAnswer {
  json: Json;
}

export class Client {
  readonly api: Api;
  readonly logged: string[] = [];
  now = 1_700_000_000;

  constructor(store: Store, more: Partial<Pick<Api, 'balancers' | 'declarative' | 'origins'>> = {}) {
    this.api = {
      store,
      declarative: null,
      balancers: null as KongBalancers | null,
      // Time that moves: targets are listed newest first.
      env: { now: () => (this.now += 0.001), uuid: randomUUID },
      node: { id: '00000000-0000-4000-8000-000000000001', hostname: 'here' },
      configuration: { database: store.driver },
      origins: [],
      status: () => ({
        connectionsAccepted: 1,
        connectionsActive: 2,
        connectionsHandled: 3,
        connectionsReading: 4,
        connectionsWriting: 5,
        connectionsWaiting: 6,
        totalRequests: 7,
        workers: [{ pid: 8, bytes: 1_572_864 }],
      }),
      logError: (text) => void this.logged.push(text),
      ...more,
    };
  }

  async send(method: string, url: string, headers: Record<string, string[]> = {}, body = ''): Promise<Answer> {
    const answer = await handle(this.api, { method, url, headers, body: Buffer.from(body) });
    const isJson = answer.headers['Content-Type']?.startsWith('application/json') ?? false;
    const json = isJson && answer.body !== null ? (JSON.parse(answer.body) as Json) : null;
    if (json !== null && ![404, 405].includes(answer.status)) this.#checkDescribed(method, url, answer.status, json);
    return { ...answer, json };
  }

  /** Every answer of every test is what the OpenAPI document says. */
  #checkDescribed(method: string, url: string, status: number, json: Json): void {
    const document = openApi();
    const schema = answerSchema(document, method, url, status);
    const wrong = schema === null ? ['a body that is not described'] : violations(document, schema, json);
    assert.deepEqual(wrong, [], `${method} ${url} → ${status}`);
  }

  async call(method: string, url: string, input?: JsonObject, format: Format = 'json'): Promise<Answer> {
    if (input === undefined) return this.send(method, url);
    const { type, body } = encode(format, input);
    return this.send(method, url, { 'content-type': [type] }, body);
  }

  /** An entity that must come out well. */
  async make(url: string, input: JsonObject, format: Format = 'json'): Promise<JsonObject & { id: string }> {
    const { status, json } = await this.call('POST', url, input, format);
    if (status !== 201) throw new Error(`POST ${url}: ${status} ${JSON.stringify(json)}`);
    return json as JsonObject & { id: string };
  }
}
