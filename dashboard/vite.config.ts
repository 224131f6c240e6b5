/** Builds the page into one document that loads nothing: `built/index.html`, which is committed (see docs/dashboard.md). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const ROOT = import.meta.dirname;

/** What is in the page besides our own: their licences go along. */
const PARTS = ['preact', 'uplot'];

/** Puts scripts and styles into the document. */
function oneDocument(): Plugin {
  return {
    name: 'one-document',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const page = bundle['index.html'];
      if (page?.type !== 'asset') throw new Error('index.html was not made');
      let html = String(page.source);
      for (const [name, file] of Object.entries(bundle)) {
        if (name === 'index.html') continue;
        // Neither may end its element, nor begin a comment in it.
        const text = (file.type === 'chunk' ? file.code : String(file.source)).trim().replaceAll('</', '<\\/');
        const [tag, inline] =
          file.type === 'chunk'
            ? [/<script [^>]*src="[^"]*"[^>]*><\/script>/, `<script type="module">${text}</script>`]
            : [/<link rel="stylesheet"[^>]*>/, `<style>${text}</style>`];
        if (!tag.test(html)) throw new Error(`${name} has no place in the document`);
        html = html.replace(tag, () => inline);
        delete bundle[name];
      }
      page.source = `${html.replace(/\n\s+/g, '\n').trim()}\n`;
      const licences = PARTS.map((name) => {
        const text = readFileSync(join(ROOT, '../node_modules', name, 'LICENSE'), 'utf8').trim();
        return `index.html has parts of ${name}:\n\n${text}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: licences.join('\n\n') });
    },
  };
}

export default defineConfig({
  root: ROOT,
  base: './',
  logLevel: 'warn',
  build: {
    outDir: 'built',
    emptyOutDir: true,
    target: 'es2023',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 1 << 20,
    reportCompressedSize: false,
  },
  plugins: [oneDocument()],
});
