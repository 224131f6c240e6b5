/** Values and variables of http: those of `src/variables/` for requests. */
import type * as variables from '../../variables/value.ts';
import type { HttpRequest } from '../request.ts';

/** What a variable is for a request: its text, or null when it is not found (`-` in logs). */
export type Getter = variables.Getter<HttpRequest>;
export type Value = variables.Value<HttpRequest>;
