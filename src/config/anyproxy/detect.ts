/** Whether a text is any-proxy's or nginx's: typed assignments and raw blocks are nowhere in an nginx.conf. */

const TYPED =
  /^[A-Za-z_][A-Za-z0-9_]*[ \t]+(?:(?:linux|unix|windows?)_)?(?:bool|strs?|raw|f(?:32|64)s?|[iu](?:8|16|32|64|128|size)s?)[ \t]*=/;
/** Blocks that nginx either does not have or gives an argument. */
const BLOCKS = /^(?:common|socket|tunnel2?|ebpf|net|upstream)[ \t]*\{[ \t]*(?:#.*)?$/;

/** Looks at the first lines that say something. */
export function looksLikeAnyproxy(text: string): boolean {
  let comment = false;
  for (const whole of text.replace(/^\xef\xbb\xbf/, '').split('\n')) {
    const line = whole.trim();
    if (comment) comment = line !== '###r';
    else if (line === 'r###') comment = true;
    else if (TYPED.test(line) || BLOCKS.test(line)) return true;
  }
  return false;
}
