/** Requests to version 9 of the API, whose answers must be as its own OpenAPI document says. */
import assert from 'node:assert/strict';
import { openApi, PATHS } from '../../../src/admin/plus/openapi.ts';
import type { Json, JsonObject } from '../../../src/config/kong/schema.ts';
import { ask } from '../../helpers/client.ts';
import { text } from '../../helpers/http1.ts';
import type { Scope } from '../../helpers/wait.ts';
import { violations } from '../kong/schema-check.ts';

/** What JSON gave: looked into without being asked what it is. */
export interface Loose {
  readonly [name: string]: Loose;
}

export interface Answer {
  status: number;
  value: Loose;
}

const document = openApi() as JsonObject;

/** What the document says of an answer's body; undefined: no body. */
function schemaOf(path: string, method: string, status: number): JsonObject | undefined {
  const found = Object.entries(PATHS).find(([pattern]) =>
    new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`).test(path),
  );
  if (found === undefined && status !== 404) assert.fail(`${path} is not in the document`);
  const operation = (found?.[1][method.toLowerCase()] ?? { responses: {} }) as { responses: JsonObject };
  const answer = (operation.responses[status] ?? null) as JsonObject | null;
  if (answer === null) return { $ref: '#/components/schemas/Error' };
  return ((answer.content as JsonObject | undefined)?.['application/json'] as JsonObject | undefined)
    ?.schema as JsonObject;
}

/** A request below `<where>/9`; `body`: an object, or the bytes of one. */
export async function askApi(
  scope: Scope,
  port: number,
  path: string,
  method = 'GET',
  body?: unknown,
  where = '/api',
): Promise<Answer> {
  const options =
    body === undefined ? { method } : { method, body: typeof body === 'string' ? body : JSON.stringify(body) };
  const response = await ask(scope, port, `${where}/9${path}`, options);
  const value = response.body.length === 0 ? null : (JSON.parse(text(response)) as Json);
  const schema = schemaOf(path.replace(/\?.*/, ''), method, response.status);
  if (schema === undefined || value === null) assert.equal(value, null);
  else if (!path.includes('?')) assert.deepEqual(violations(document, schema, value), [], `${method} ${path}`);
  return { status: response.status, value: value as unknown as Loose };
}

export const codeOf = ({ value }: Answer): string => value.error!.code as unknown as string;
