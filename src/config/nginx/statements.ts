/** Statements that another language was turned into: they go the way of those of an nginx.conf, and keep their places. */
import type { Place } from '../model.ts';
import type { Token } from './tokenizer.ts';

export interface Statement {
  /** Name and arguments: byte strings, taken as they are. */
  args: string[];
  place: Place;
  /** Of a block. */
  block?: Statement[];
}

/** As a tokenizer gives them. */
export class StatementTokens {
  place: Place | null = null;
  readonly #open: { statements: readonly Statement[]; at: number }[];

  constructor(statements: readonly Statement[]) {
    this.#open = [{ statements, at: 0 }];
  }

  get line(): number {
    return this.place === null ? 0 : this.place.line;
  }

  next(): Token {
    const level = this.#open.at(-1)!;
    const statement = level.statements[level.at];
    if (statement === undefined) {
      if (this.#open.length === 1) return { kind: 'end' };
      this.#open.pop();
      return { kind: 'close' };
    }
    level.at++;
    this.place = statement.place;
    const args = [...statement.args];
    if (statement.block === undefined) return { kind: 'statement', args };
    this.#open.push({ statements: statement.block, at: 0 });
    return { kind: 'block', args };
  }
}
