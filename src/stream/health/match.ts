/** `match` of stream: what is sent to a server, and what has to stand in its answer. Pure. */
import { Buffer } from 'node:buffer';
import { compileRegex } from '../../config/pcre.ts';
import type { StreamMatchConfig } from '../../config/model.ts';

export interface StreamMatcher {
  readonly name: string;
  /** Null: nothing. */
  readonly send: Buffer | null;
  /** Null: no answer is waited for. @param text the answer's first bytes, one character a byte */
  readonly expects: ((text: string) => boolean) | null;
}

/** Who can be connected passes. */
export const NO_MATCH: StreamMatcher = { name: '', send: null, expects: null };

export function compileStreamMatch({ name, send, expect }: StreamMatchConfig): StreamMatcher {
  return { name, send: send === null ? null : Buffer.from(send, 'latin1'), expects: compileExpect(expect) };
}

function compileExpect(expect: StreamMatchConfig['expect']): StreamMatcher['expects'] {
  if (expect === null) return null;
  if (expect.kind === 'text') return (text) => text.includes(expect.text);
  const regex = compileRegex(expect.regex);
  return (text) => regex.test(text);
}
