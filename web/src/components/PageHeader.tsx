import { Group, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";

/** The page's one `h1`, what it is for, and its first actions; also the window's title. */
export function PageHeader({ title, description, children }: { title: string; description?: ReactNode; children?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Mira`;
  }, [title]);
  return (
    <Group component="header" justify="space-between" align="flex-start" mb="lg" gap="sm">
      <div className="page-title">
        <Title order={1}>{title}</Title>
        {description && <Text size="sm" c="dimmed" mt={4} maw={680}>{description}</Text>}
      </div>
      {children && <Group gap="xs">{children}</Group>}
    </Group>
  );
}
