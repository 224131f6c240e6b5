/** Header fields made by Headrace itself, in order. Kept as two plain arrays that are reused. */
export class FieldList {
  readonly names: string[] = [];
  readonly values: string[] = [];
  count = 0;

  clear(): void {
    this.count = 0;
    this.names.length = 0;
    this.values.length = 0;
  }

  /** Appends a field. Names and values are latin1; a value with CR, LF, NUL or more than latin1 is cut there (never a second field). */
  add(name: string, value: string): void {
    this.names[this.count] = name;
    this.values[this.count] = cleanValue(value);
    this.count++;
  }

  /** Replaces the first field of that name (any case), or appends. */
  set(name: string, value: string): void {
    const i = this.find(name.toLowerCase());
    if (i < 0) this.add(name, value);
    else this.values[i] = cleanValue(value);
  }

  /** Index of the first field named `lower` after `after`, or -1. */
  find(lower: string, after = -1): number {
    for (let i = after + 1; i < this.count; i++) {
      if (this.names[i]!.length === lower.length && this.names[i]!.toLowerCase() === lower) return i;
    }
    return -1;
  }

  get(lower: string): string | null {
    const i = this.find(lower);
    return i < 0 ? null : this.values[i]!;
  }

  remove(lower: string): void {
    for (let i = this.find(lower); i >= 0; i = this.find(lower)) {
      this.names.splice(i, 1);
      this.values.splice(i, 1);
      this.count--;
    }
  }
}

const UNSAFE = /[\r\n\0]|[^\x00-\xff]/;

function cleanValue(value: string): string {
  const at = value.search(UNSAFE);
  return at < 0 ? value : value.slice(0, at);
}
