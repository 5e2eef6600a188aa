import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./theme/styles";
import { App } from "./app/App";

declare global {
  // Read by the library that keeps the page from scrolling behind dialogs.
  var __webpack_nonce__: string | undefined;
}

const nonce = document.querySelector<HTMLMetaElement>('meta[name="mira-nonce"]')?.content ?? "";
globalThis.__webpack_nonce__ = nonce;

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App nonce={nonce} />
  </StrictMode>,
);
