import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { HashRouter, Navigate, Route, Routes, useLocation } from "react-router";
import { queries } from "../api/queries";
import { ErrorBoundary } from "../components/ErrorBoundary";
import { PageLoading } from "../components/States";
import { useToasts } from "../components/toasts";
import { cssVariables, theme } from "../theme/theme";
import { Missing } from "./Missing";
import { NoWorkspace } from "./NoWorkspace";
import { type Page, pages } from "./registry";
import { SessionProvider, useAnySession } from "./session";
import { Shell } from "./Shell";

const Toaster = lazy(() => import("../components/Toaster"));

export function App({ nonce }: { nonce: string }) {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={queries}>
        <HashRouter>
          <SessionProvider>
            <Pages />
          </SessionProvider>
        </HashRouter>
        <Toasts />
      </QueryClientProvider>
    </MantineProvider>
  );
}

function Toasts() {
  return useToasts().length > 0 && <Suspense fallback={null}><Toaster /></Suspense>;
}

/** Public pages by themselves, all others within the frame; operators' only for operators. */
function Pages() {
  const session = useAnySession();
  const { pathname, search } = useLocation();
  const shown = pages.filter((page) => page.role !== "operator" || session.operator_pages);
  const back = pathname === "/" ? "" : `?to=${encodeURIComponent(pathname + search)}`;
  return (
    <Routes>
      {shown.filter((page) => page.role === "public").map((page) => route(page))}
      {session.signed_in && !session.workspace ? (
        <Route path="*" element={<NoWorkspace />} />
      ) : session.signed_in ? (
        <Route element={<Shell />}>
          {shown.filter((page) => page.role !== "public").map((page) => route(page))}
          <Route path="*" element={<Missing />} />
        </Route>
      ) : (
        <Route path="*" element={<Navigate to={`/sign-in${back}`} replace />} />
      )}
    </Routes>
  );
}

function route({ id, path, Component }: Page) {
  const element = (
    <ErrorBoundary key={id}>
      <Suspense fallback={<PageLoading />}>
        <Component />
      </Suspense>
    </ErrorBoundary>
  );
  return <Route key={id} path={path} element={element} />;
}
