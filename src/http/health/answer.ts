/** An answer as the conditions of a `match` see it. */
import type { Buffer } from 'node:buffer';
import { type Answer, BODY_LIMIT, type Matcher } from '../../health/match.ts';
import type { ResponseHead } from '../wire/response-head.ts';

export interface AnswerSettings {
  /** Value of a variable when this answer has come. */
  variable(name: string, answer: HttpAnswer): string;
}

/** Nobody looks at the body, nor waits for its end to use the connection again. */
export function headIsAll({ needsBody }: Matcher, keepaliveTimeMs: number): boolean {
  return !needsBody && keepaliveTimeMs === 0;
}

/** What was looked at last is what the log names. */
export function lastChecked(matcher: Matcher): string {
  return matcher.needsBody ? 'checking body' : 'checking status code';
}

/** An answer, while its probe is under way. */
export class HttpAnswer implements Answer {
  readonly head: ResponseHead;
  readonly address: string;
  readonly connectMs: number;
  readonly headerMs: number;
  responseMs = 0;
  length = 0;
  readonly #settings: AnswerSettings;
  #pieces: string[] = [];
  #kept = 0;

  constructor(settings: AnswerSettings, head: ResponseHead, address: string, connectMs: number, headerMs: number) {
    this.#settings = settings;
    this.head = head;
    this.address = address;
    this.connectMs = connectMs;
    this.headerMs = headerMs;
  }

  get status(): number {
    return this.head.status;
  }

  header(name: string): string | null {
    const lower = name.toLowerCase();
    const values: string[] = [];
    for (let i = 0; i < this.head.count; i++) {
      if (this.head.name(i).toLowerCase() === lower) values.push(this.head.value(i));
    }
    return values.length === 0 ? null : values.join(', ');
  }

  /** @returns whether more of the body is wanted */
  take(buf: Buffer, start: number, end: number): boolean {
    this.length += end - start;
    const until = Math.min(end, start + BODY_LIMIT - this.#kept);
    if (until > start) {
      this.#pieces.push(buf.latin1Slice(start, until));
      this.#kept += until - start;
    }
    return this.#kept < BODY_LIMIT;
  }

  body(): string {
    return this.#pieces.join('');
  }

  variable(name: string): string {
    return this.#settings.variable(name, this);
  }
}
