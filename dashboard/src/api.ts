/** Changes of groups, by the API that the server named. */
import type { GroupInfo, Write } from '../../src/admin/dashboard/frame.ts';

/** What can be said of a server, in the API's words. */
export interface ServerFields {
  server?: string;
  service?: string;
  weight?: number;
  max_conns?: number;
  max_fails?: number;
  fail_timeout?: string;
  slow_start?: string;
  backup?: boolean;
  down?: boolean;
  drain?: boolean;
}

const LATE_MS = 10_000;

/** The API's own words; of whoever stands before it, the status. */
async function reason(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { text: string; code: string } };
    return `${error.text} (${error.code})`;
  } catch {
    const hint =
      response.status === 401 || response.status === 403 ? 'the API does not let you in' : response.statusText;
    return `${response.status}: ${hint}`;
  }
}

/** @param id of the server; null: the list of servers @throws an Error whose message is for the operator */
async function send(
  { api }: Write,
  { door, name }: GroupInfo,
  id: number | null,
  method: string,
  body: ServerFields | null,
): Promise<void> {
  const url = `${api}/9/${door}/upstreams/${encodeURIComponent(name)}/servers/${id ?? ''}`;
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(LATE_MS),
      ...(body === null ? null : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
  } catch (error) {
    throw new Error(`the API did not answer: ${(error as Error).message}`, { cause: error });
  }
  if (!response.ok) throw new Error(await reason(response));
}

export const change = (write: Write, group: GroupInfo, id: number, fields: ServerFields): Promise<void> =>
  send(write, group, id, 'PATCH', fields);

export const add = (write: Write, group: GroupInfo, fields: ServerFields): Promise<void> =>
  send(write, group, null, 'POST', fields);

export const remove = (write: Write, group: GroupInfo, id: number): Promise<void> =>
  send(write, group, id, 'DELETE', null);
