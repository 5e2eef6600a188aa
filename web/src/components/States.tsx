/** What a view shows while it waits, when there is nothing, and when it failed. */
import { Button, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { ApiError, messageOf } from "../api/client";
import { Icon } from "./Icon";

/** A page that is on its way: quiet bars of about its height, so that nothing jumps. */
export function PageLoading() {
  return (
    <Stack aria-busy="true" aria-label="Loading" role="status" gap="lg" p="xs">
      <Skeleton h={28} w={180} />
      <Skeleton h={120} />
      <Skeleton h={240} />
    </Stack>
  );
}

/** A part of a page that is on its way. */
export function Loading({ height = 160 }: { height?: number }) {
  return <Skeleton h={height} aria-busy="true" aria-label="Loading" role="status" />;
}

/** Nothing here yet: says so, why, and what to do. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <Title order={2} size="h3" ta="center">{title}</Title>
      {children && <Text component="div" size="sm" c="dimmed" maw={460} ta="center">{children}</Text>}
      {action}
    </div>
  );
}

/** What could not be read, in the gateway's words, and a way to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  const requestId = error instanceof ApiError ? error.requestId : null;
  return (
    <div className="empty" role="alert">
      <Icon name="warning" size={24} />
      <Text size="sm" ta="center" maw={520}>{messageOf(error)}</Text>
      {requestId && <Text size="xs" c="dimmed">Request {requestId}</Text>}
      {retry && <Button variant="default" onClick={retry} leftSection={<Icon name="refresh" />}>Try again</Button>}
    </div>
  );
}

/** Shows what a query answered, or that it waits or failed. */
export function Loaded<T>({ query, height, children }: {
  query: { data: T | undefined; error: unknown; refetch: () => unknown };
  height?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return height === undefined ? <PageLoading /> : <Loading height={height} />;
}
