import { type CSSVariablesResolver, createTheme } from "@mantine/core";

export const theme = createTheme({
  // Greys with a little blue, from text to ground.
  colors: {
    dark: ["#e3e5e9", "#c3c7cf", "#a3a9b3", "#7d838e", "#454a54", "#353a43", "#262a32", "#1d2026", "#16181d", "#101216"],
  },
  primaryColor: "indigo",
  primaryShade: { light: 8, dark: 7 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
  components: {
    Text: { defaultProps: { size: "sm" } },
    Anchor: { defaultProps: { size: "sm" } },
    // Its placeholder for the first focus is a child that a menu may not have; the first entry takes the focus instead.
    Menu: { defaultProps: { withInitialFocusPlaceholder: false } },
  },
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "1.5rem" }, h2: { fontSize: "1.125rem" }, h3: { fontSize: "1rem" }, h4: { fontSize: "0.9375rem" } } },
});

/** Where Mantine's own greys, reds and tints fall short of 4.5 : 1 against what they stand on. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5a626b",
    "--mantine-color-placeholder": "#666e77",
    "--mantine-color-error": "#c02525",
    "--mantine-color-anchor": "#3b4fc4",
  },
  dark: {
    "--mantine-color-body": "#16181d",
    "--mantine-color-text": "#e3e5e9",
    "--mantine-color-default": "#22262d",
    "--mantine-color-default-hover": "#2a2f37",
    "--mantine-color-default-border": "#454a54",
    "--mantine-color-dimmed": "#a3a9b3",
    "--mantine-color-placeholder": "#8e959f",
    "--mantine-color-error": "#ff8f8f",
    "--mantine-color-anchor": "#a5b4fc",
  },
});
