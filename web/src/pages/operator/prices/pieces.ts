/** What a model may be priced by, beside tokens. */
export const PIECES = [
  { name: "image", label: "Image" },
  { name: "second", label: "Second of sound or video" },
  { name: "character", label: "Character spoken" },
  { name: "page", label: "Page read" },
] as const;

export type Piece = (typeof PIECES)[number]["name"];
