import java.text.BreakIterator;
import java.text.spi.BreakIteratorProvider;
import java.util.Locale;

/**
 * Where Thai words end, for a Java without Thai: the stand-in's. Without any, OpenSearch makes no index at all, whatever its
 * language, as each begins with all analyzers there are. This one takes each letter for a word.
 */
public final class ThaiBreaks extends BreakIteratorProvider {
    @Override
    public Locale[] getAvailableLocales() {
        return new Locale[] {new Locale("th")};
    }

    @Override
    public BreakIterator getWordInstance(Locale locale) {
        return BreakIterator.getCharacterInstance(Locale.ROOT);
    }

    @Override
    public BreakIterator getLineInstance(Locale locale) {
        return BreakIterator.getLineInstance(Locale.ROOT);
    }

    @Override
    public BreakIterator getCharacterInstance(Locale locale) {
        return BreakIterator.getCharacterInstance(Locale.ROOT);
    }

    @Override
    public BreakIterator getSentenceInstance(Locale locale) {
        return BreakIterator.getSentenceInstance(Locale.ROOT);
    }
}
