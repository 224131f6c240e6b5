/** `match`: what an answer must be like. Pure; the answer is whatever a protocol makes of it. */
import type { MatchConfig, MatchHeader } from '../config/model.ts';
import { compileRegex } from '../config/pcre.ts';

/** Only so much of a body is looked at, bytes. */
export const BODY_LIMIT = 256 * 1024;

/** An answer as conditions see it. Texts are byte strings. */
export interface Answer {
  status: number;
  /** All values of a field, any case, joined by `, `; null: there is none. */
  header(name: string): string | null;
  /** Its first `BODY_LIMIT` bytes. */
  body(): string;
  variable(name: string): string;
}

/** What did not fit, as the log names it; null: all did. */
export type Verdict = 'checking status code' | 'checking header' | 'checking body' | 'checking variables' | null;

export interface Matcher {
  readonly name: string;
  /** The answer's body is needed. */
  readonly needsBody: boolean;
  /** All but the body; what fails here need not be read to its end. */
  head(answer: Answer): Verdict;
  all(answer: Answer): Verdict;
}

/** Without `match` 2xx and 3xx are good. */
export const GOOD_STATUS: Matcher = {
  name: '',
  needsBody: false,
  head: ({ status }) => (status >= 200 && status < 400 ? null : 'checking status code'),
  all: ({ status }) => (status >= 200 && status < 400 ? null : 'checking status code'),
};

export function compileMatch(config: MatchConfig): Matcher {
  const headers = config.headers.map(compileHeader);
  const { status, body, require } = config;
  const bodyRegex = body === null ? null : compileRegex(body.regex);
  const head = (answer: Answer): Verdict => {
    if (status !== null) {
      const listed = status.ranges.some(([from, to]) => answer.status >= from && answer.status <= to);
      if (listed === status.negate) return 'checking status code';
    }
    return headers.every((holds) => holds(answer)) ? null : 'checking header';
  };
  return {
    name: config.name,
    needsBody: body !== null || require.length > 0,
    head,
    all(answer) {
      const verdict = head(answer);
      if (verdict !== null) return verdict;
      if (bodyRegex !== null && bodyRegex.test(answer.body()) === body!.negate) return 'checking body';
      const holds = (name: string): boolean => {
        const value = answer.variable(name);
        return value !== '' && value !== '0';
      };
      return require.every(holds) ? null : 'checking variables';
    },
  };
}

function compileHeader(condition: MatchHeader): (answer: Answer) => boolean {
  const { name, negate } = condition;
  switch (condition.test) {
    case 'present':
      return (answer) => (answer.header(name) !== null) !== negate;
    case 'equal':
      return (answer) => (answer.header(name) === condition.value) !== negate;
    case 'regex': {
      const regex = compileRegex(condition.regex);
      return (answer) => {
        const value = answer.header(name);
        return (value !== null && regex.test(value)) !== negate;
      };
    }
  }
}
