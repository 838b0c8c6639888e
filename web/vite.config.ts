// The only place that knows how the page is built: what the server sends as files, without an inline script, an inline style or an address.
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

// Vite lists the licences of the code that it packs; the font is not code.
const fontLicence: Plugin = {
  name: "font-licence",
  generateBundle: {
    order: "post",
    handler() {
      this.emitFile({ type: "asset", fileName: "font-license.txt", source: readFileSync("node_modules/@fontsource-variable/inter/LICENSE") });
    },
  },
};

export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [fontLicence],
  build: {
    outDir: "../src/tokentail/web/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the security policy allows no data: addresses
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 700,
  },
  // Where the page is worked on: `npx vite` beside a running `tokentail web --port 7878`.
  server: { proxy: { "/api": "http://127.0.0.1:7878", "/healthz": "http://127.0.0.1:7878" } },
});
