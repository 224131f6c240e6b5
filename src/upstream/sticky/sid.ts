/** Sids: what binds a client to a peer. */

export const MAX_SID = 32;

/** Can this be some peer's sid at all? What a client sends is only ever compared with those that exist. */
export function maybeSid(text: string): boolean {
  return text.length > 0 && text.length <= MAX_SID;
}

/** What is wrong with a `route=`, in nginx's words, or null. */
export function routeError(route: string): string | null {
  if (route === '') return 'route is empty';
  return Buffer.byteLength(route) > MAX_SID ? `route is longer than ${MAX_SID}` : null;
}

export { sidOf } from '../table/text.ts';
