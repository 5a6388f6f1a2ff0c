/**
 * Builds the join page that a coordinator serves: one HTML file, hashed assets beside it, nothing from elsewhere.
 * It must run under the page's content security policy, so nothing is inlined and nothing is evaluated.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));

export default defineConfig({
  root: join(here, 'client/browser/page'),
  // relative, so that the page also works below a path of a reverse proxy
  base: './',
  publicDir: false,
  build: {
    outDir: join(here, 'dist/client/browser/page'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
});
