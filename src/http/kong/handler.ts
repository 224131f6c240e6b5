/** What a location needs that routes by Kong's entities: loaded when a configuration has one. */
import { errorBody } from './answers.ts';
import { KongRuntime } from './runtime.ts';

export { errorBody, KongRuntime };

export interface KongHandler {
  readonly KongRuntime: typeof KongRuntime;
  readonly errorBody: typeof errorBody;
}
