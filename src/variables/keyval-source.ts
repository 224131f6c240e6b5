/** What the variables know of `keyval`, whose code is read when a configuration has it. */
import type { KeyvalConfig } from '../config/model-variables.ts';
import type { LogLevel } from '../config/model.ts';
import type { VariableContext } from './context.ts';
import type { Getter, Value } from './value.ts';

export interface KeyvalVariable<C extends VariableContext> {
  readonly get: Getter<C>;
  /** @returns whether the zone took it; if not, it is in the log */
  readonly set: (c: C, value: string) => boolean;
}

/** What a `keyval` needs of the variables around it. */
export interface KeyvalTable<C extends VariableContext> {
  compile(text: string): Value<C>;
  report(c: C, level: LogLevel, message: string): void;
}

export interface KeyvalSource {
  compile<C extends VariableContext>(config: KeyvalConfig, table: KeyvalTable<C>): KeyvalVariable<C>;
}
