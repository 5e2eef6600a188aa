/**
 * Which pages there are: `pages.json` names them, and a page is there when its file is. Tests read the same list.
 *
 * A page is a file below `pages/` with a default export; it is fetched when it is opened.
 */
import { type ComponentType, lazy, type LazyExoticComponent } from "react";
import type { IconName } from "../components/Icon";
import listed from "../pages.json";

export type Role = "public" | "member" | "operator";

export interface Page {
  id: string;
  path: string;
  title: string;
  role: Role;
  /** The heading of the navigation that it stands under; without one it is reached by links alone. */
  group?: string;
  icon?: IconName;
  Component: LazyExoticComponent<ComponentType>;
}

type PageModule = { default: ComponentType };
const files = import.meta.glob<PageModule>("../pages/**/*.tsx");

export const pages: readonly Page[] = listed.flatMap(({ file, ...page }) => {
  const load = files[`../pages/${file}.tsx`];
  return load ? [{ ...page, Component: lazy(load) } as Page] : [];
});

/** The navigation of somebody: pages by group, in the order of the list. */
export function navigation(isOperator: boolean): [string, Page[]][] {
  const groups = new Map<string, Page[]>();
  for (const page of pages) {
    if (page.group && (page.role === "member" || (page.role === "operator" && isOperator))) {
      groups.set(page.group, [...(groups.get(page.group) ?? []), page]);
    }
  }
  return [...groups];
}
