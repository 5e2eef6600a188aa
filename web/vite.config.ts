import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const gateway = process.env.MIRA_DEV_GATEWAY ?? "http://127.0.0.1:4000";

export default defineConfig({
  // Relative addresses, so that the portal works under any path prefix.
  base: "./",
  plugins: [react()],
  build: {
    outDir: "../src/mira/portal/dist",
    emptyOutDir: true,
    target: "es2022",
    // The portal's CSP allows no code in the page itself, and no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    license: { fileName: "licenses.md" },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 600,
  },
  server: { proxy: { "/portal/v1": gateway, "/v1": gateway, "/openapi.json": gateway } },
});
