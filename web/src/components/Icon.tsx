/** Drawn for this portal: 20 × 20, one stroke, in the colour of the text. Never the only sign of anything. */
const SHAPES = {
  book: "M4 3.5h9a2 2 0 0 1 2 2v11H6a2 2 0 0 1-2-2zM4 14.5a2 2 0 0 1 2-2h9",
  chart: "M3.5 3.5v13h13M7 13.5v-4M10.5 13.5v-7M14 13.5v-5",
  chat: "M3.5 4.5h13v9h-7l-3.5 3v-3h-2.500z",
  check: "M4.5 10.500l3.5 3.5 7.5-8",
  close: "M5 5l10 10M15 5L5 15",
  coin: "M10 3.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M12.3 7.700a3 3 0 1 0 0 4.6",
  copy: "M7.5 7.500h9v9h-9zM4.5 12.500h-1v-9h9v1",
  cube: "M10 2.800l6.3 3.500v7.400L10 17.200l-6.3-3.500V6.300zM3.7 6.300L10 9.900l6.3-3.600M10 9.900v7.3",
  dots: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  down: "M5 7.500l5 5 5-5",
  download: "M10 3.500v9M6.5 9.500l3.5 3.5 3.5-3.500M3.5 16.500h13",
  edit: "M4 16l.7-3.300L13.5 4l2.5 2.5-8.7 8.800z",
  exit: "M8 3.500H4v13h4M8 10h8.500M13 6.500l3.5 3.5-3.5 3.5",
  external: "M8 4.500H4.500v11h11V12M11.5 4.500h4v4M15 5l-6 6",
  folder: "M3 15.500v-11h5l1.5 2H17v9z",
  gear: "M10 7.300a2.7 2.7 0 1 0 0 5.400a2.7 2.7 0 1 0 0-5.400M10 2.800v2M10 15.200v2M2.8 10h2M15.2 10h2M4.9 4.900l1.4 1.400M13.7 13.700l1.4 1.400M4.9 15.100l1.4-1.400M13.7 6.300l1.4-1.4",
  help: "M10 3.500a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M8 8.200a2 2 0 1 1 2.8 1.800c-.6.3-.8.6-.8 1.300M10 13.700h.01",
  home: "M3.5 9L10 3.5 16.5 9v7.500h-4.500V12H8v4.500H3.500z",
  image: "M3 4h14v12H3zM3 13.500l4-4 4 4 2-2 4 4M13 7.800h.01",
  key: "M6.5 10.500a3 3 0 1 0 0 6a3 3 0 1 0 0-6M8.7 11.300L16 4M13 7l2.5 2.500M15 5l1.5 1.5",
  list: "M7 5h10M7 10h10M7 15h10M3.5 5h.01M3.5 10h.01M3.5 15h.01",
  moon: "M16 11.500A6.5 6.5 0 1 1 8.5 4a5.2 5.2 0 0 0 7.5 7.500z",
  pause: "M7 4.500v11M13 4.500v11",
  people: "M7.5 4a2.7 2.7 0 1 0 0 5.400a2.7 2.7 0 1 0 0-5.400M2.5 16c0-2.8 2-4.3 5-4.300s5 1.5 5 4.300M13 4.300a2.6 2.6 0 0 1 0 4.900M14.5 12c1.9.5 3 1.9 3 4",
  person: "M10 3.500a3 3 0 1 0 0 6a3 3 0 1 0 0-6M4 16.500c0-3 2.5-4.5 6-4.500s6 1.5 6 4.5",
  play: "M6 4l9.5 6L6 16z",
  plug: "M7 3v4M13 3v4M5 7h10v2.500a5 5 0 0 1-10 0zM10 14.500V17",
  plus: "M10 4v12M4 10h12",
  refresh: "M16 8.500A6.3 6.3 0 0 0 4.5 7M4 11.500A6.3 6.3 0 0 0 15.5 13M4.5 3.500V7H8M15.5 16.500V13H12",
  scale: "M10 3v14M6 17h8M4 6h12M4 6l-2 5.500h4zM16 6l-2 5.500h4z",
  screen: "M3 4h14v9.500H3zM7.5 16.500h5",
  search: "M9 3.500a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M13 13l3.5 3.5",
  server: "M3.5 4h13v5h-13zM3.5 11h13v5h-13zM6.5 6.500h.01M6.5 13.500h.01",
  shield: "M10 3l6 2v5c0 3.5-2.5 5.7-6 7-3.5-1.3-6-3.5-6-7V5zM7.5 10l1.8 1.800L12.8 8",
  stop: "M5 5h10v10H5z",
  sun: "M10 7a3 3 0 1 0 0 6a3 3 0 1 0 0-6M10 2.500v1.500M10 16v1.500M2.5 10H4M16 10h1.500M4.7 4.700l1.1 1.100M14.2 14.200l1.1 1.100M4.7 15.300l1.1-1.100M14.2 5.800l1.1-1.1",
  table: "M3 4h14v12H3zM3 8h14M3 12h14M8 4v12",
  tag: "M3.5 3.500h6.500l6.5 6.5-6.5 6.5-6.5-6.500zM7 7h.01",
  trash: "M4 5.500h12M8 5.500v-2h4v2M5.5 5.500l.7 11h7.600l.7-11",
  upload: "M10 13V4M6.5 7L10 3.5 13.5 7M3.5 16.500h13",
  warning: "M10 3.500l7 12.500H3zM10 8v4M10 14h.01",
} as const;

export type IconName = keyof typeof SHAPES;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6"
      strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false" style={{ flex: "none" }}>
      <path d={SHAPES[name]} />
    </svg>
  );
}
