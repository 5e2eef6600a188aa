/** A table of a list that is read page by page. In a narrow window every row is a card that its first column heads. */
import { Button, Skeleton, VisuallyHidden } from "@mantine/core";
import { type KeyboardEvent, type MouseEvent, type ReactNode } from "react";
import { useNavigate } from "react-router";
import type { Pages } from "../api/queries";
import { Failure } from "./States";

export interface Column<T> {
  title: string;
  render: (row: T) => ReactNode;
  /** Figures stand at the end. */
  align?: "end";
  /** No name in the head and on cards: columns of buttons. */
  quiet?: boolean;
  /** Left out in narrow windows. */
  wide?: boolean;
}

interface DataTableProps<T> {
  /** What the table holds, for screen readers: "Keys". */
  label: string;
  columns: readonly Column<T>[];
  pages: Pages<T>;
  rowKey: (row: T) => string;
  /** What stands here when there are no rows: an `<Empty>`. */
  empty: ReactNode;
  /** Where a click on a row leads; put a real link into one cell too, for the keyboard. */
  href?: (row: T) => string;
  onOpen?: (row: T) => void;
}

export function DataTable<T>({ label, columns, pages, rowKey, empty, href, onOpen }: DataTableProps<T>) {
  const navigate = useNavigate();
  const { rows } = pages;
  if (rows === undefined) {
    if (pages.error) return <Failure error={pages.error} retry={pages.retry} />;
    return <LoadingRows />;
  }
  if (rows.length === 0) return <>{empty}</>;
  const open = (row: T) => (event: MouseEvent | KeyboardEvent) => {
    if ((event.target as HTMLElement).closest("a, button, input, label")) return;
    if (href) void navigate(href(row));
    else onOpen?.(row);
  };
  const opens = Boolean(href ?? onOpen);
  const heading = columns.find((column) => !column.quiet);
  return (
    <>
      <div className="data-table-scroll">
        <table className="data-table" role="table" aria-label={label}>
          <thead role="rowgroup">
            <tr role="row">
              {columns.map((column) => (
                <th key={column.title} role="columnheader" scope="col" data-align={column.align}>
                  {column.quiet ? <VisuallyHidden>{column.title}</VisuallyHidden> : column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((row) => (
              <tr key={rowKey(row)} role="row" data-link={opens || undefined} onClick={opens ? open(row) : undefined}>
                {columns.map((column) => (
                  <td key={column.title} role="cell" data-align={column.align} data-label={column.quiet ? undefined : column.title} data-heading={column === heading || undefined} data-wide={column.wide || undefined}>
                    {column.render(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div className="data-table-foot" role="status">
        {pages.hasMore ? (
          <Button variant="default" size="xs" loading={pages.isFetching} onClick={pages.readMore}>Show more</Button>
        ) : (
          <VisuallyHidden>{`${rows.length} in all`}</VisuallyHidden>
        )}
        {pages.error && <span>{pages.error.message}</span>}
      </div>
    </>
  );
}

function LoadingRows() {
  return (
    <div aria-busy="true" aria-label="Loading" role="status" className="loading-rows">
      {[0, 1, 2, 3].map((row) => <Skeleton key={row} h={20} />)}
    </div>
  );
}
