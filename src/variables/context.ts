/** What values are evaluated against: a request of http, a session of stream. */
export interface VariableContext {
  /** Values of `set`, of named groups and of cached variables, by index in the generation's table; made when first written. */
  vars: (string | null)[] | null;
  /** `$1`…: captures of the last successful match; index 0 is the whole. */
  captures: readonly (string | undefined)[] | null;
}
